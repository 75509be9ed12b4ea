import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { asHash, leafHash } from '../../src/merkle/hash.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import { parseVerifierKey } from '../../src/note/key.ts'
import { formatProofFile, MAX_PATH, parseProofFile } from '../../src/note/proof-file.ts'
import gen from '../vectors/gen-tlog-proof.json' with { type: 'json' }
import formats from '../vectors/tlog-proof-formats.json' with { type: 'json' }
import { CHECKPOINT_7, LOG_VKEY, PROOF_5 } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

/** All of the verification but the witnesses: the log's signature, its origin, and the path. */
function verify(file: string, leaf: Uint8Array, vkey: string): void {
  const key = parseVerifierKey(vkey)
  const { index, path, checkpoint: note } = parseProofFile(file)
  const { checkpoint } = openCheckpoint(note, { origin: key.name, verifiers: [key] })
  const { size, root } = checkpoint
  verifyInclusion({ index, size, leaf: asHash(leaf, 'leaf'), path, root })
}

describe('container vectors', () => {
  test.each(formats.cases)('$name: $expect_parse', (c) => {
    if (c.expect_parse === 'reject') {
      expectCode(() => parseProofFile(c.proof), 'malformed')
      return
    }
    const file = parseProofFile(c.proof)
    expect([String(file.index), file.path.map(toBase64), file.checkpoint]).toEqual([
      c.index,
      c.hashes,
      c.checkpoint,
    ])
    expect(file.extra).toBeUndefined()
    expect(formatProofFile(file)).toBe(c.proof)
  })
})

describe('complete proofs', () => {
  // Base64 of no bytes is the empty text, so the line reads, and is written, like any other.
  const pinned = new Map([['valid with empty extra data', 'accept']])
  // Its log signature and path are good; what is spoilt is the cosignature of a witness, which only a policy asks for.
  const needsPolicy = 'one cosignature corrupt'
  const vkey = /^log (\S+)$/m.exec(gen.policy)![1]!
  const cases = gen.cases.map((c) => ({
    ...c,
    verdict: c.expect === 'either' ? pinned.get(c.name) : c.expect,
  }))

  test.each(cases.filter((c) => c.name !== needsPolicy))('$name: $verdict', (c) => {
    const leaf = parseBase64(c.leaf_hash_base64, 'vector')
    expect(leafHash(encodeUtf8(c.record))).toEqual(leaf)
    const check = () => verify(c.proof, leaf, vkey)
    if (c.verdict === 'reject') {
      expectCode(check, 'malformed', 'untrusted_signer', 'bad_proof', 'out_of_range')
      return
    }
    expect(c.verdict).toBe('accept')
    check()
    expect(formatProofFile(parseProofFile(c.proof))).toBe(c.proof)
  })

  test('a corrupt cosignature leaves the container and the log signature as they are', () => {
    const c = cases.find(({ name }) => name === needsPolicy)!
    verify(c.proof, parseBase64(c.leaf_hash_base64, 'vector'), vkey)
  })

  test('the published example verifies for its own leaf only', () => {
    verify(PROOF_5, leafHash(encodeUtf8('L5')), LOG_VKEY)
    expectCode(() => verify(PROOF_5, leafHash(encodeUtf8('L4')), LOG_VKEY), 'bad_proof')
    expect(formatProofFile(parseProofFile(encodeUtf8(PROOF_5)))).toBe(PROOF_5)
    expect(parseProofFile(PROOF_5).checkpoint).toBe(CHECKPOINT_7)
  })
})

test('extra data comes back, and so does its absence', () => {
  const file = parseProofFile(PROOF_5)
  for (const extra of [Uint8Array.of(1, 2, 3), new Uint8Array(0)]) {
    expect(parseProofFile(formatProofFile({ ...file, extra })).extra).toEqual(extra)
  }
  expect('extra' in file).toBe(false)
})

test.each([
  ['no header', PROOF_5.slice(PROOF_5.indexOf('\n') + 1)],
  ['no index', PROOF_5.replace('index 5\n', '')],
  ['two spaces', PROOF_5.replace('index 5', 'index  5')],
  ['a leading zero', PROOF_5.replace('index 5', 'index 05')],
  ['extra behind the index', PROOF_5.replace('index 5', 'index 5\nextra AQ==')],
  ['extra twice', PROOF_5.replace('index 5', 'extra AQ==\nextra AQ==\nindex 5')],
  ['extra without a space', PROOF_5.replace('index 5', 'extra\nindex 5')],
  ['a short hash', PROOF_5.replace('NZr/IegsvAOEgnpCagnR9FIdnN0bXYnc8R1C1UEQ6TM=', 'AQ==')],
  ['an empty line behind the header', PROOF_5.replace('@v1\n', '@v1\n\n')],
  ['an empty line first', `\n${PROOF_5}`],
  ['no checkpoint', PROOF_5.slice(0, PROOF_5.indexOf('\n\n') + 2)],
  ['no empty line', 'c2sp.org/tlog-proof@v1\nindex 0\n'],
  ['half of a surrogate pair', `${PROOF_5}\ud800`],
  ['nothing', ''],
])('%s is malformed', (_, file) => {
  expectCode(() => parseProofFile(file), 'malformed')
})

test('bytes that are not UTF-8 are malformed', () => {
  const bytes = encodeUtf8(PROOF_5)
  bytes[bytes.length - 2] = 0xff
  expectCode(() => parseProofFile(bytes), 'malformed')
})

test('an index that a number cannot hold is out of range', () => {
  expectCode(() => parseProofFile(PROOF_5.replace('index 5', 'index 9007199254740992')), 'out_of_range')
})

test('a path of 63 hashes is the longest', () => {
  const hash = asHash(new Uint8Array(32), 'test')
  const file = { index: 0, checkpoint: 'c\n', path: Array.from({ length: MAX_PATH }, () => hash) }
  const longest = formatProofFile(file)
  expect(parseProofFile(longest)).toEqual(file)
  expectCode(() => parseProofFile(longest.replace('\n\n', `\n${toBase64(hash)}\n\n`)), 'malformed')
  expectCode(() => formatProofFile({ ...file, path: [...file.path, hash] }), 'malformed')
})

test('a proof file that was written is read back the same', () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => asHash(bytes, 'test'))
  const files = fc.record(
    {
      index: fc.maxSafeNat(),
      path: fc.array(hash, { maxLength: MAX_PATH }),
      checkpoint: fc.string({ unit: 'grapheme', minLength: 1 }),
      extra: fc.uint8Array(),
    },
    { requiredKeys: ['index', 'path', 'checkpoint'] },
  )
  fc.assert(
    fc.property(files, (file) => {
      expect(parseProofFile(formatProofFile(file))).toEqual(file)
      expect(parseProofFile(encodeUtf8(formatProofFile(file)))).toEqual(file)
    }),
  )
})

test('random bytes are malformed or read back the same', () => {
  const piece = fc.oneof(
    fc.constantFrom(
      'c2sp.org/tlog-proof@v1\n',
      'index 5\n',
      'extra AQ==\n',
      `${'A'.repeat(43)}=\n`,
      '\n',
      'x',
    ),
    fc.uint8Array({ maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const bytes = Uint8Array.from(pieces.flatMap((p) => [...(typeof p === 'string' ? encodeUtf8(p) : p)]))
      const code = codeOf(() => {
        expect(encodeUtf8(formatProofFile(parseProofFile(bytes)))).toEqual(bytes)
      })
      if (code !== undefined) expect(['malformed', 'out_of_range']).toContain(code)
    }),
    { numRuns: 500 },
  )
})

test.each([
  ['a byte order mark (EF BB BF)', (text: string) => Buffer.from(`\uFEFF${text}`)],
  ['CRLF (0D 0A)', (text: string) => Buffer.from(text.replaceAll('\n', '\r\n'))],
  ['UTF-16', (text: string) => Buffer.from(`\uFEFF${text}`, 'utf16le')],
])('a file that an editor saved with %s is refused with the difference', (what, save) => {
  expect(() => parseProofFile(save(PROOF_5))).toThrow(`got ${what}`)
})
