import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { signerOf } from '../../src/crypto/ed25519-portable.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { verifierKey } from '../../src/note/key.ts'
import type { NoteSignature } from '../../src/note/note.ts'
import { evaluatePolicy, openWithPolicy } from '../../src/policy/evaluate.ts'
import { parsePolicy } from '../../src/policy/parse.ts'
import { codeOf, expectCode } from '../note/expect-code.ts'
import {
  ED25519,
  logKey,
  logLine,
  ML_DSA,
  noteOf,
  NOW,
  ORIGIN,
  TEXT,
  vkey,
  witness,
  witnessSeed,
} from './fixture.ts'

const log = logKey()
const [w1, w2, w3] = [witness(1), witness(2, ML_DSA), witness(3)]
const policy = parsePolicy(
  `log ${vkey(log)}\nwitness a ${vkey(w1)}\nwitness b ${vkey(w2)}\nwitness c ${vkey(w3)}\ngroup g 2 a b c\nquorum g\n`,
)
const LOG = logLine(log)
const [A, B, C] = [w1, w2, w3].map((key) => key.cosign(TEXT, NOW))
const GARBAGE: Uint8Array = new Uint8Array(72).fill(9)

/** A line that borrows the name and ID of a key. */
const imitating = ({ name, id }: { name: string; id: number }, signature = GARBAGE): NoteSignature => ({
  name,
  id,
  signature,
})
const open = (...lines: NoteSignature[]) => openWithPolicy(noteOf(lines), policy)

describe('a checkpoint under a policy', () => {
  test('opens with the log and a quorum, and says who signed when', () => {
    const { checkpoint, note, verifiedBy, cosignatures } = open(LOG, A!, B!)
    expect([checkpoint.origin, checkpoint.size]).toEqual([ORIGIN, 7])
    expect(note.text).toBe(TEXT)
    expect(note.signatures).toEqual([LOG, A, B])
    expect(verifiedBy).toEqual([policy.logs[0]!.key])
    expect(
      cosignatures.map(({ witness: { name }, timestampSeconds, signature }) => [
        name,
        timestampSeconds,
        signature,
      ]),
    ).toEqual([
      ['a', NOW, A],
      ['b', NOW, B],
    ])
    expect(() => openWithPolicy(encodeUtf8(noteOf([LOG, A!, B!])), policy)).not.toThrow()
  })

  test('opens in whatever order the lines stand', () => {
    expect(open(C!, B!, LOG, A!).cosignatures.map(({ witness: { name } }) => name)).toEqual(['c', 'b', 'a'])
  })

  test('without the log, without the quorum, or of another origin does not, and each says so', () => {
    expect(codeOf(() => open(A!, B!, C!))).toBe('untrusted_signer')
    expect(codeOf(() => open(LOG, A!))).toBe('quorum_not_met')
    expect(() => open(LOG, A!)).toThrow('"g" has 1 of 2, without "b", "c"')
    expect(codeOf(() => open(LOG))).toBe('quorum_not_met')
    const text = TEXT.replace(ORIGIN, 'other.example')
    const lines = [logLine(log, text), w1.cosign(text, NOW), w2.cosign(text, NOW)]
    expect(codeOf(() => openWithPolicy(noteOf(lines, text), policy))).toBe('wrong_origin')
  })

  test('is reported on also where it does not open', () => {
    const nothing = evaluatePolicy(policy, noteOf([imitating({ name: 'x', id: 1 })]))
    expect([nothing.logKeys, nothing.cosignatures, nothing.quorum.met]).toEqual([[], [], false])
    expect(nothing.lines.unverified).toHaveLength(1)
    const half = evaluatePolicy(policy, noteOf([LOG, A!]))
    expect(half.logKeys.map(({ name }) => name)).toEqual([ORIGIN])
    expect(half.cosignatures.map(({ witness: { name } }) => name)).toEqual(['a'])
    expect(half.quorum).toMatchObject({ met: false, missing: { name: 'g', met: 1, threshold: 2 } })
  })

  test('with a quorum of none needs the log alone, but no bad line', () => {
    const lenient = parsePolicy(`log ${vkey(log)}\nwitness a ${vkey(w1)}\nquorum none\n`)
    expect(openWithPolicy(noteOf([LOG]), lenient).cosignatures).toEqual([])
    expect(openWithPolicy(noteOf([LOG, A!]), lenient).cosignatures).toHaveLength(1)
    expectCode(() => openWithPolicy(noteOf([LOG, imitating(w1)]), lenient), 'bad_signature')
    expectCode(() => openWithPolicy(noteOf([A!]), lenient), 'untrusted_signer')
  })

  test('with a time that no number holds counts, and has no time', () => {
    const far = encodeUtf8(`cosignature/v1\ntime 9223372036854775807\n${TEXT}`)
    const time = Uint8Array.of(0x7f, ...new Uint8Array(7).fill(0xff))
    // What no cosigner here would sign.
    const line = { ...A!, signature: concatBytes(time, signerOf(witnessSeed(1))(far)) }
    expect(open(LOG, line, B!).cosignatures.map(({ timestampSeconds }) => timestampSeconds)).toEqual([
      undefined,
      NOW,
    ])
  })

  test('of size 0 has the root of the empty tree', () => {
    const text = TEXT.replace('\n7\n', '\n0\n')
    const lines = [logLine(log, text), w1.cosign(text, NOW), w2.cosign(text, NOW)]
    expectCode(() => openWithPolicy(noteOf(lines, text), policy), 'bad_proof')
  })
})

describe('lines that imitate', () => {
  test('a witness by name and ID condemn the note before the witness’s own, and are skipped behind it', () => {
    expectCode(() => open(LOG, imitating(w1), A!, B!), 'bad_signature')
    expectCode(() => open(LOG, imitating(w1), B!, C!), 'bad_signature')
    expect(open(LOG, A!, imitating(w1), B!).note.signatures).toEqual([LOG, A, B])
  })

  test('a witness by name alone or by ID alone are ignored, and count for nothing', () => {
    const lookalikes = [
      imitating({ name: w1.name, id: w1.id + 1 }, A!.signature),
      imitating({ name: 'w1.example.evil', id: w1.id }, A!.signature),
      imitating({ name: 'a', id: w1.id }, A!.signature),
    ]
    expect(codeOf(() => open(LOG, ...lookalikes, B!))).toBe('quorum_not_met')
    const { note, cosignatures } = open(LOG, ...lookalikes, B!, C!)
    expect(cosignatures).toHaveLength(2)
    expect(note.unverified).toEqual(lookalikes)
    expect(note.signatures).toEqual([LOG, B, C])
  })

  test('a witness with its line from another checkpoint condemn the note', () => {
    const other = TEXT.replace('\n7\n', '\n6\n')
    for (const key of [w1, w2]) {
      expectCode(() => open(LOG, key.cosign(other, NOW), C!), 'bad_signature')
    }
  })

  test('the log’s key by a witness’s, or the reverse, condemn the note or are ignored', () => {
    expectCode(() => open(imitating(log, A!.signature), A!, B!), 'bad_signature')
    expect(codeOf(() => open(LOG, { ...A!, signature: LOG.signature }, B!))).toBe('bad_signature')
    expect(codeOf(() => open({ ...A!, name: ORIGIN }, A!, B!))).toBe('untrusted_signer')
  })

  test('repeat a witness, and it counts once', () => {
    expect(codeOf(() => open(LOG, A!, A!, A!))).toBe('quorum_not_met')
    expect(codeOf(() => open(LOG, A!, w1.cosign(TEXT, NOW + 1)))).toBe('quorum_not_met')
  })

  test('a second witness with a key that is listed: one key is one witness, under one name', () => {
    const alias = witness(1, ED25519, 'alias.example').cosign(TEXT, NOW)
    expect(codeOf(() => open(LOG, A!, alias))).toBe('quorum_not_met')
    expect(open(LOG, A!, alias, B!).note.unverified).toEqual([alias])
  })

  test('a cosignature by one on a subtree: time 0 is refused on a checkpoint', () => {
    const root = asHash(new Uint8Array(32), 'test')
    const text = formatCheckpoint({ origin: ORIGIN, size: 7, root })
    const subtree = w2.signSubtree({ origin: ORIGIN, start: 0, end: 7, hash: root })
    const lines = [logLine(log, text), w1.cosign(text, NOW), subtree]
    expectCode(() => openWithPolicy(noteOf(lines, text), policy), 'bad_signature')
  })
})

describe('several logs', () => {
  const other = logKey(1, 'other.example')
  const next = logKey(2)
  const ml = witness(9, ML_DSA, ORIGIN)
  const many = parsePolicy(
    [log, other, next, ml].map((key) => `log ${vkey(key)}\n`).join('') + 'quorum none\n',
  )

  test('speak for their own origin only', () => {
    const forged = logLine(other)
    expect(codeOf(() => openWithPolicy(noteOf([forged]), many))).toBe('untrusted_signer')
    expect(openWithPolicy(noteOf([LOG, forged]), many).verifiedBy).toEqual(
      [log.verifier].map(({ name }) => expect.objectContaining({ name }) as unknown),
    )
    // Whatever another log puts there does not disturb either.
    expect(openWithPolicy(noteOf([imitating(other), LOG]), many).note.unverified).toHaveLength(1)
  })

  test('of one origin may be several keys: rotation, and Ed25519 beside ML-DSA-44', () => {
    const note = noteOf([LOG, logLine(next), ml.cosign(TEXT, NOW)])
    expect(openWithPolicy(note, many).verifiedBy.map(({ id }) => id)).toEqual([log.id, next.id, ml.id])
    expect(openWithPolicy(noteOf([ml.cosign(TEXT, NOW)]), many).verifiedBy).toHaveLength(1)
    expectCode(() => openWithPolicy(noteOf([LOG, imitating(ml)]), many), 'bad_signature')
  })

  test('that sign with ML-DSA-44 alone have no extension lines', () => {
    const text = `${TEXT}extension\n`
    expectCode(() => openWithPolicy(noteOf([ml.cosign(text, NOW)], text), many), 'bad_signature')
    const { checkpoint } = openWithPolicy(noteOf([ml.cosign(text, NOW), logLine(log, text)], text), many)
    expect(checkpoint.extensions).toEqual(['extension'])
  })
})

describe('a log that is known from elsewhere', () => {
  const none = parsePolicy(`witness a ${vkey(w1)}\nquorum a\n`)
  const known = { origin: ORIGIN, verifiers: [log.verifier] }

  test('opens under a policy that lists none, and nothing does without it', () => {
    expect(openWithPolicy(noteOf([LOG, A!]), none, known).cosignatures).toHaveLength(1)
    expect(codeOf(() => openWithPolicy(noteOf([LOG, A!]), none))).toBe('untrusted_signer')
    expect(codeOf(() => openWithPolicy(noteOf([A!]), none, known))).toBe('untrusted_signer')
    expect(codeOf(() => openWithPolicy(noteOf([LOG]), none, known))).toBe('quorum_not_met')
  })

  test('counts instead of those that are listed', () => {
    const stranger = logKey(5)
    const lines = [logLine(stranger), A!, B!]
    const asked = { origin: ORIGIN, verifiers: [stranger.verifier] }
    expect(openWithPolicy(noteOf(lines), policy, asked).verifiedBy).toEqual([stranger.verifier])
    expect(codeOf(() => openWithPolicy(noteOf([LOG, A!, B!]), policy, asked))).toBe('untrusted_signer')
  })

  test('is the one of its origin, and has no cosigner’s key', () => {
    const wrong = { ...known, origin: 'other.example' }
    expect(codeOf(() => openWithPolicy(noteOf([LOG, A!]), none, wrong))).toBe('wrong_origin')
    const cosigner = { ...known, verifiers: [w1.verifier] }
    expect(codeOf(() => openWithPolicy(noteOf([LOG, A!]), none, cosigner))).toBe('usage')
  })
})

describe('one public key as log and witness', () => {
  const shared = witness(7, ML_DSA, ORIGIN)
  const line = shared.cosign(TEXT, NOW)

  test('under one name counts as both with one line, since the policy says so', () => {
    const both = parsePolicy(`log ${vkey(shared)}\nwitness a ${vkey(shared)}\nquorum a\n`)
    const { verifiedBy, cosignatures } = openWithPolicy(noteOf([line]), both)
    expect([verifiedBy.length, cosignatures.length]).toEqual([1, 1])
  })

  test('under two names needs a line by each', () => {
    const alias = witness(7, ML_DSA, 'alias.example')
    const both = parsePolicy(`log ${vkey(shared)}\nwitness a ${vkey(alias)}\nquorum a\n`)
    expect(codeOf(() => openWithPolicy(noteOf([line]), both))).toBe('quorum_not_met')
    expect(codeOf(() => openWithPolicy(noteOf([alias.cosign(TEXT, NOW)]), both))).toBe('untrusted_signer')
    expect(openWithPolicy(noteOf([line, alias.cosign(TEXT, NOW)]), both).cosignatures).toHaveLength(1)
  })
})

test('two witnesses of one name and key ID are refused where a line could be by either', () => {
  // Found by search: an ID has 32 bits, so this takes seconds.
  const [one, other] = [99_382, 104_616].map((n) => {
    const publicKey = new Uint8Array(1312)
    new DataView(publicKey.buffer).setUint32(0, n)
    return { verifier: verifierKey('w.example', KEY_TYPE.mlDsa44Cosignature, publicKey) }
  })
  expect(one!.verifier.id).toBe(other!.verifier.id)
  const twins = parsePolicy(
    `log ${vkey(log)}\nwitness a ${vkey(one!)}\nwitness b ${vkey(other!)}\nwitness c ${vkey(w3)}\nquorum c\n`,
  )
  expect(openWithPolicy(noteOf([LOG, C!]), twins).cosignatures).toHaveLength(1)
  expectCode(() => openWithPolicy(noteOf([LOG, C!, imitating(one!.verifier)]), twins), 'untrusted_signer')
})

test('32 logs, 32 witnesses of both types and 32 groups', () => {
  const logs = Array.from({ length: 32 }, (_, n) => logKey(n + 100))
  const witnesses = Array.from({ length: 32 }, (_, n) => witness(n + 100, n % 2 === 0 ? ED25519 : ML_DSA))
  const lines = [
    ...logs.map((key) => `log ${vkey(key)}`),
    ...witnesses.map((key, n) => `witness w${n} ${vkey(key)}`),
    // Pairs, pairs of pairs, and so on up to one: 31 groups, and one more around it.
    ...Array.from(
      { length: 31 },
      (_, n) =>
        `group g${n} all ${[2 * n, 2 * n + 1].map((m) => (m < 32 ? `w${m}` : `g${m - 32}`)).join(' ')}`,
    ),
    'group g31 any g30',
    'quorum g31',
  ]
  const big = parsePolicy(`${lines.join('\n')}\n`)
  const all = [...logs.map((key) => logLine(key)), ...witnesses.map((key) => key.cosign(TEXT, NOW))]
  const { verifiedBy, cosignatures } = openWithPolicy(noteOf(all), big)
  expect([verifiedBy.length, cosignatures.length]).toEqual([32, 32])
  expect(codeOf(() => openWithPolicy(noteOf(all.slice(0, -1)), big))).toBe('quorum_not_met')
  expect(() => openWithPolicy(noteOf(all.slice(0, -1)), big)).toThrow('"w31"')
})

test('random and spoilt notes give a documented error, and never a quorum that is not there', () => {
  const good = encodeUtf8(noteOf([LOG, A!, B!]))
  const spliced = fc
    .tuple(fc.nat(good.length), fc.nat(6), fc.uint8Array({ maxLength: 6 }))
    .map(([at, drop, insert]) => concatBytes(good.subarray(0, at), insert, good.subarray(at + drop)))
  const documented = [
    'malformed',
    'out_of_range',
    'bad_signature',
    'untrusted_signer',
    'wrong_origin',
    'quorum_not_met',
  ]
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 80 }), spliced), (note) => {
      const code = codeOf(() => {
        expect(openWithPolicy(note, policy).note.text).toBe(TEXT)
      })
      if (code !== undefined) expect(documented).toContain(code)
    }),
    { numRuns: 300 },
  )
})
