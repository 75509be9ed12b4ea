import { readFileSync } from 'node:fs'
import { beforeAll, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { verifyProofFile, type ProofCheck } from '../../src/client/verify.ts'
import { EMPTY_ROOT, leafHash } from '../../src/merkle/hash.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { formatKeyId, KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey } from '../../src/note/key.ts'
import { formatNote, parseNote } from '../../src/note/note.ts'
import { formatProofFile, parseProofFile } from '../../src/note/proof-file.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { FakeLog, flipped, KEY, ORIGIN, VKEY } from './fake-log.ts'

const entry = encodeUtf8('entry 123')
let log: FakeLog
let good: ProofCheck
let file: ReturnType<typeof parseProofFile>

beforeAll(async () => {
  log = await FakeLog.create(600)
  good = { proof: await log.prove(123), entry, origin: ORIGIN, verifierKeys: [VKEY] }
  file = parseProofFile(good.proof)
})

const verdictOf = (change: Partial<ProofCheck>) => verifyProofFile({ ...good, ...change }).verdict

describe('verifying a proof file', () => {
  it('says what was verified', () => {
    expect(verifyProofFile(good)).toEqual({
      verdict: 'verified',
      origin: ORIGIN,
      index: 123,
      leafHash: leafHash(entry),
      treeSize: 600,
      signedBy: [ORIGIN],
      signatures: [{ name: ORIGIN, keyId: formatKeyId(KEY.verifier.id), timestampMs: undefined }],
      cosignedBy: [],
      unverifiedNames: [],
    })
  })

  it('under a policy asks for its witnesses, and takes the log from its list', () => {
    const log = formatVerifierKey(KEY.verifier)
    const witness = formatVerifierKey(generateCosignerKey('w.example', KEY_TYPE.ed25519Cosignature).verifier)
    const { origin: _, verifierKeys: __, ...rest } = good
    const under = (policy: string) => verifyProofFile({ ...rest, policy: parsePolicy(policy) })
    expect(under(`log ${log}\nquorum none\n`)).toMatchObject({ verdict: 'verified', origin: ORIGIN })
    expect(under(`log ${log}\nwitness w ${witness}\nquorum w\n`)).toMatchObject({
      verdict: 'quorum_not_met',
      message: expect.stringContaining('"w"') as string,
    })
    const other = formatVerifierKey(generateSigningKey(ORIGIN, new Uint8Array(32).fill(9)).verifier)
    expect(under(`log ${other}\nquorum none\n`).verdict).toBe('untrusted_signer')
    expect(() => verifyProofFile(rest)).toThrow(/expected origin and verifier keys, or a policy/)
  })

  it('takes bytes, a leaf hash, keys already read, and other keys of the log beside the one that signed', () => {
    const other = generateSigningKey(ORIGIN, new Uint8Array(32).fill(9)).verifier
    const { entry: _, ...rest } = good
    expect(verifyProofFile({ ...rest, leafHash: leafHash(entry) }).verdict).toBe('verified')
    expect(verdictOf({ proof: encodeUtf8(good.proof as string) })).toBe('verified')
    expect(verdictOf({ verifierKeys: [other, KEY.verifier] })).toBe('verified')
  })

  it('refuses a file that is none', () => {
    const text = good.proof as string
    for (const proof of [
      '',
      'x',
      text.slice(0, -1),
      text.replace('@v1', '@v2'),
      text.replaceAll('\n', '\r\n'),
    ]) {
      expect(verdictOf({ proof })).toBe('malformed')
    }
    expect(verdictOf({ proof: Uint8Array.of(0xff, 0xfe) })).toBe('malformed')
    expect(verdictOf({ proof: text.replace('index 123', 'index 99999999999999999999') })).toBe('malformed')
  })

  it('refuses a checkpoint of another log', () => {
    expect(verdictOf({ origin: 'log.example/logs/other' })).toBe('wrong_log')
  })

  it('refuses a checkpoint that nobody trusted has signed', () => {
    const stranger = generateSigningKey(ORIGIN, new Uint8Array(32).fill(9))
    expect(verdictOf({ verifierKeys: [formatVerifierKey(stranger.verifier)] })).toBe('untrusted_signer')
    expect(verdictOf({ verifierKeys: [] })).toBe('untrusted_signer')
  })

  it('refuses a checkpoint that was changed after it was signed', () => {
    const proof = formatProofFile({ ...file, checkpoint: file.checkpoint.replace('\n600\n', '\n601\n') })
    expect(verdictOf({ proof })).toBe('bad_signature')
  })

  it('refuses an index or a path that no entry of that tree can have', async () => {
    const proofs = [
      formatProofFile({ ...file, index: 600 }),
      formatProofFile({ ...file, path: file.path.slice(1) }),
      formatProofFile({ ...file, path: [...file.path, EMPTY_ROOT] }),
      formatProofFile({ ...file, checkpoint: await log.sign({ size: 0, root: EMPTY_ROOT }) }),
      formatProofFile({ ...file, checkpoint: await log.sign({ size: 0 }) }),
    ]
    expect(proofs.map((proof) => verdictOf({ proof }))).toEqual(proofs.map(() => 'bad_proof'))
  })

  it('refuses another entry, and a path or an index that was changed', () => {
    expect(verdictOf({ entry: encodeUtf8('entry 124') })).toBe('wrong_entry')
    expect(verdictOf({ entry: new Uint8Array(0) })).toBe('wrong_entry')
    expect(verdictOf({ proof: formatProofFile({ ...file, index: 122 }) })).toBe('wrong_entry')
    file.path.forEach((hash, i) => {
      const path = file.path.with(i, flipped(hash, i) as typeof hash)
      expect(verdictOf({ proof: formatProofFile({ ...file, path }) })).toBe('wrong_entry')
    })
  })

  it('does not make a verdict out of a failure that is none', () => {
    const broken = {
      ...KEY.verifier,
      verify: () => {
        throw new TypeError('no such function')
      },
    }
    expect(() => verdictOf({ verifierKeys: [broken] })).toThrow('no such function')
  })

  it('throws for what is the mistake of the caller', () => {
    expect(() => verdictOf({ leafHash: leafHash(entry) })).toThrow('either an entry or a leaf hash')
    const { entry: _, ...neither } = good
    expect(() => verifyProofFile(neither)).toThrow('either an entry or a leaf hash')
    expect(() => verifyProofFile({ ...neither, leafHash: new Uint8Array(31) })).toThrow(
      'expected a hash of 32 bytes',
    )
    expect(() => verdictOf({ verifierKeys: ['nonsense'] })).toThrow('verifier key')
  })
})

interface Vectors {
  readonly policy: string
  readonly cases: readonly { name: string; record: string; proof: string; expect: string }[]
}

describe('the published proof files', () => {
  const vectors = JSON.parse(
    readFileSync(new URL('../vectors/gen-tlog-proof.json', import.meta.url), 'utf8'),
  ) as Vectors
  const vkey = /^log (\S+)/m.exec(vectors.policy)![1]!
  const origin = vkey.split('+')[0]!
  // Of cosignatures this function does not know yet: the log's own signature is good there.
  const cases = vectors.cases.filter(({ name }) => name !== 'one cosignature corrupt')

  it.each(cases)('$name: $expect', ({ record, proof, expect: wanted }) => {
    const { verdict } = verifyProofFile({ proof, entry: encodeUtf8(record), origin, verifierKeys: [vkey] })
    if (wanted !== 'either') expect(verdict === 'verified').toBe(wanted === 'accept')
  })
})

describe('an entry that an editor saved again', () => {
  const LINES = 'first\nsecond'
  let proof: string
  beforeAll(async () => {
    const log = await FakeLog.create(3)
    await log.add([LINES, `${LINES}\n`, '\uFEFFwith a mark\r\n'])
    const fresh = await FakeLog.create(3)
    await fresh.add([LINES])
    proof = await fresh.prove(3)
    ended = { proof: await log.prove(4), marked: await log.prove(5) }
  })
  let ended: { proof: string; marked: string }

  const saved = (text: string, of = proof) =>
    verifyProofFile({ proof: of, entry: encodeUtf8(text), origin: ORIGIN, verifierKeys: [VKEY] })

  it.each([
    ['a line feed was added at its end', `${LINES}\n`],
    ['CRLF was added at its end', `${LINES}\r\n`],
    ['its line feeds became CRLF', 'first\r\nsecond'],
    ['a byte order mark (EF BB BF) was put before it', `\uFEFF${LINES}`],
    [
      'a byte order mark (EF BB BF) was put before it, and its line feeds became CRLF, and a line feed was added at its end',
      `\uFEFFfirst\r\nsecond\r\n`,
    ],
  ])('is not what was logged, and the sentence says why: %s', (what, text) => {
    const result = saved(text)
    expect(result).toMatchObject({ verdict: 'wrong_entry', editorChange: what })
    expect((result as { message: string }).message).toContain(
      `${what}. The proof holds for entry 3 as it was logged`,
    )
  })

  it.each([
    ['the line feed at its end was taken away', LINES],
    ['its line feeds became CRLF', `${LINES}\n`.replaceAll('\n', '\r\n')],
  ])('also where the entry ended with a line feed: %s', (what, text) => {
    expect(saved(text, ended.proof)).toMatchObject({ verdict: 'wrong_entry', editorChange: what })
  })

  it.each([
    ['the byte order mark (EF BB BF) before it was taken away', 'with a mark\r\n'],
    ['its CRLF line ends became line feeds', '\uFEFFwith a mark\n'],
    ['the CRLF at its end was taken away', '\uFEFFwith a mark'],
  ])('also where the entry came from such an editor: %s', (what, text) => {
    expect(saved(text, ended.marked)).toMatchObject({ verdict: 'wrong_entry', editorChange: what })
  })

  it('is told from one that was changed otherwise, and from one that only has a hash', () => {
    for (const text of ['first\nsecond.', 'first second', `${LINES}\n\n`, ` ${LINES}`, '']) {
      expect(saved(text)).not.toHaveProperty('editorChange')
    }
    const { entry: _, ...rest } = good
    expect(verifyProofFile({ ...rest, leafHash: leafHash(encodeUtf8('entry 123\n')) })).not.toHaveProperty(
      'editorChange',
    )
  })
})

it('says when the log signed, where its signature covers a time', async () => {
  const mldsa = generateCosignerKey(ORIGIN, KEY_TYPE.mlDsa44Cosignature)
  const { text, signatures } = parseNote(log.note)
  const note = formatNote({ text, signatures: [...signatures, mldsa.cosign(text, 1_764_000_000)] })
  const proof = formatProofFile({ ...file, checkpoint: note })
  const verifierKeys = [KEY.verifier, mldsa.verifier]
  expect(verifyProofFile({ ...good, proof, verifierKeys })).toMatchObject({
    signatures: [{ timestampMs: undefined }, { timestampMs: 1_764_000_000_000 }],
    unverifiedNames: [],
  })
  expect(verifyProofFile({ ...good, proof })).toMatchObject({ unverifiedNames: [ORIGIN] })
})
