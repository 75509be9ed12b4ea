import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { toBase64 } from '../../src/bytes/base64.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { asHash } from '../../src/merkle/hash.ts'
import { openCheckpoint } from '../../src/note/checkpoint.ts'
import {
  cosigningSigner,
  formatCosignerKey,
  generateCosignerKey,
  parseCosignerKey,
} from '../../src/note/cosigner.ts'
import type { Cosigner } from '../../src/note/cosigner.ts'
import { formatKeyId, KEY_TYPE } from '../../src/note/key-id.ts'
import {
  formatVerifierKey,
  generateSigningKey,
  parseSigningKey,
  parseVerifierKey,
} from '../../src/note/key.ts'
import { openNote, parseNote, signNote } from '../../src/note/note.ts'
import genKeys from '../vectors/gen-keys.json' with { type: 'json' }
import { LOG_LINE, LOG_SKEY, SEED, TEXT_7, WITNESS_LINE, WITNESS_VKEY } from './example.ts'
import { codeOf, expectCode } from './expect-code.ts'

const ED25519 = KEY_TYPE.ed25519Cosignature
const ML_DSA = KEY_TYPE.mlDsa44Cosignature
const TYPES = [ED25519, ML_DSA] as const
const NOW = 1_750_000_000
const WITNESS_SEED = SEED.map((byte) => byte + 0x20)

describe('private keys of cosigners', () => {
  test.each(TYPES)('of type %i come back from their text', (type) => {
    const key = generateCosignerKey('w.example/1', type, SEED)
    const skey = formatCosignerKey(key)
    const secret = toBase64(Uint8Array.of(type, ...SEED))
    expect(skey).toBe(`PRIVATE+KEY+w.example/1+${formatKeyId(key.id)}+${secret}`)
    const again = parseCosignerKey(skey)
    expect([again.name, again.id, again.type]).toEqual([key.name, key.id, type])
    expect(formatVerifierKey(again.verifier)).toBe(formatVerifierKey(key.verifier))
    expect(again.verifier.verify(TEXT_7, again.cosign(TEXT_7, NOW).signature)).toBe(true)
  })

  test('of type 0x01 become 0x04 and get its ID', () => {
    const key = parseCosignerKey(LOG_SKEY)
    const note = parseSigningKey(LOG_SKEY)
    expect([key.name, key.type]).toEqual([note.name, ED25519])
    expect(key.verifier.publicKey).toEqual(note.verifier.publicKey)
    expect(key.id).not.toBe(note.id)
    const written = formatCosignerKey(key)
    expect(written).not.toBe(LOG_SKEY)
    expect(formatCosignerKey(parseCosignerKey(written))).toBe(written)
    const [line] = parseNote(`${TEXT_7}\n${LOG_LINE}`).signatures
    expect(key.cosign(TEXT_7, NOW).id).not.toBe(line!.id)
  })

  test('the published witness signs its published line', () => {
    const skey = formatCosignerKey(generateCosignerKey('witness.example/w1', ED25519, WITNESS_SEED))
    const key = parseCosignerKey(skey)
    expect(formatVerifierKey(key.verifier)).toBe(WITNESS_VKEY)
    expect([key.cosign(TEXT_7, NOW)]).toEqual(parseNote(`${TEXT_7}\n${WITNESS_LINE}`).signatures)
  })

  test('that the vectors accept or reject are, here too', () => {
    for (const c of genKeys.cases.filter(({ kind }) => kind === 'skey')) {
      const code = codeOf(() => parseCosignerKey(c.value))
      expect([c.value, code]).toEqual([c.value, c.expect === 'accept' ? undefined : 'malformed'])
    }
  })

  test('are random by default, and copy the seed they are given', () => {
    const [one, other] = [generateCosignerKey('w', ML_DSA), generateCosignerKey('w', ML_DSA)]
    expect(formatCosignerKey(one)).not.toBe(formatCosignerKey(other))
    const seed = SEED.slice()
    const key = generateCosignerKey('w', ML_DSA, seed)
    seed.fill(0)
    expect(formatCosignerKey(key)).toBe(formatCosignerKey(generateCosignerKey('w', ML_DSA, SEED)))
    expect(key.verifier.verify(TEXT_7, key.cosign(TEXT_7, NOW).signature)).toBe(true)
    expectCode(() => generateCosignerKey('w', ML_DSA, new Uint8Array(31)), 'malformed')
    expectCode(() => generateCosignerKey('w', ED25519, new Uint8Array(64)), 'malformed')
    expectCode(() => generateCosignerKey('a name', ED25519, SEED), 'malformed')
  })

  test('do not show when they are printed or serialised', () => {
    for (const type of TYPES) {
      const key = generateCosignerKey('w', type, SEED)
      const shown = `${inspect(key, { depth: 9, showHidden: true, maxArrayLength: 3 })} ${JSON.stringify(key)}`
      expect(shown).not.toContain(toHex(SEED))
      expect(shown).not.toContain(toBase64(SEED).slice(4, 20))
      expect(shown).not.toContain('"28":28,"29":29,"30":30')
    }
  })
})

describe('private keys that are refused', () => {
  const skeyOf = (type: typeof ED25519 | typeof ML_DSA) =>
    formatCosignerKey(generateCosignerKey('w', type, SEED))
  const noteKey = generateSigningKey('w', SEED)
  const withType = (skey: string, type: number) =>
    skey.replace(/[^+]*$/, '') + toBase64(Uint8Array.of(type, ...SEED))

  test.each([
    ['another type under the ID of 0x04', withType(skeyOf(ED25519), 6)],
    ['the type 0x04 under the ID of 0x01', withType(noteKey.formatSecret(), 4)],
    ['the type 0x01 under the ID of 0x04', withType(skeyOf(ED25519), 1)],
    ['types that do not cosign', withType(skeyOf(ED25519), 2)],
    ['a tree head key', withType(skeyOf(ED25519), 5)],
    [
      'the seed with one byte more',
      skeyOf(ML_DSA).replace(/[^+]*$/, '') + toBase64(new Uint8Array(34).fill(6)),
    ],
    ['no base64', `${skeyOf(ML_DSA)}!`],
    ['no prefix', skeyOf(ML_DSA).slice(12)],
    ['nothing', ''],
  ])('%s', (_, skey) => {
    let error: unknown
    try {
      parseCosignerKey(skey)
    } catch (thrown) {
      error = thrown
    }
    expect(codeOf(() => parseCosignerKey(skey))).toBe('malformed')
    const secret = toBase64(Uint8Array.of(4, ...SEED))
    for (let i = 4; i + 8 <= secret.length; i++) expect(inspect(error)).not.toContain(secret.slice(i, i + 8))
  })

  test('those of cosigners do not sign notes', () => {
    for (const type of TYPES) expectCode(() => parseSigningKey(skeyOf(type)), 'malformed')
    expect(() => parseSigningKey(skeyOf(ML_DSA))).toThrow(
      'signing key: expected an Ed25519 key (type 0x01), got an ML-DSA-44 key (type 0x06)',
    )
  })

  test('an ML-DSA-44 key is read in the form that other tools write: type byte and seed', () => {
    const { id } = generateCosignerKey('m.example/1', ML_DSA, SEED).verifier
    const secret = toBase64(Uint8Array.of(6, ...SEED))
    const skey = `PRIVATE+KEY+m.example/1+${id.toString(16).padStart(8, '0')}+${secret}`
    expect(parseCosignerKey(skey)).toMatchObject({ type: ML_DSA, name: 'm.example/1' })
  })
})

describe('cosigning', () => {
  test.each(TYPES)('takes whole seconds, not milliseconds nor fractions nor 0, type %i', (type) => {
    const key = generateCosignerKey('w', type, SEED)
    for (const time of [NOW * 1000, 1.5, 0, -1, Number.NaN, Infinity, 2 ** 53]) {
      expectCode(() => key.cosign(TEXT_7, time), 'internal')
    }
    expect(key.verifier.verify(TEXT_7, key.cosign(TEXT_7, 1).signature)).toBe(true)
  })

  test('a subtree takes an ML-DSA-44 key and what is a subtree', () => {
    const hash = asHash(new Uint8Array(32), 'test')
    const subtree = { origin: 'o', start: 8, end: 13, hash }
    const [ed, ml] = TYPES.map((type) => generateCosignerKey('w', type, SEED))
    expectCode(() => ed!.signSubtree(subtree), 'usage')
    expect(ml!.signSubtree(subtree).signature.subarray(0, 8)).toEqual(new Uint8Array(8))
    for (const [start, end] of [
      [3, 5],
      [4, 4],
      [5, 4],
      [-1, 1],
      [0, 2 ** 53],
    ] as const) {
      expectCode(() => ml!.signSubtree({ ...subtree, start, end }), 'out_of_range')
    }
    expectCode(() => ml!.signSubtree({ ...subtree, origin: '' }), 'malformed')
    expectCode(() => ml!.signSubtree({ ...subtree, origin: 'o'.repeat(256) }), 'malformed')
  })
})

describe('several keys of one log on one checkpoint', () => {
  const origin = 'log.example/demo'
  const ed = generateSigningKey(origin, SEED)
  const next = generateSigningKey(origin, WITNESS_SEED)
  const ml = generateCosignerKey(origin, ML_DSA, SEED)
  const clock = () => NOW

  test('Ed25519 and ML-DSA-44 side by side: each opens it, and both do', async () => {
    const note = await signNote(TEXT_7, [ed, cosigningSigner(ml, clock)])
    for (const verifiers of [[ed.verifier], [ml.verifier], [ed.verifier, ml.verifier]]) {
      expect(openCheckpoint(note, { origin, verifiers }).verifiedBy).toEqual(verifiers)
    }
    expect(note.length).toBeGreaterThan(3300)
    expect(note.length).toBeLessThan(3600)
  })

  test('rotation: the old and the new key sign, and readers of either can go on', async () => {
    const note = await signNote(TEXT_7, [ed, next, cosigningSigner(ml, clock)])
    expect(openNote(note, [next.verifier]).unverified).toHaveLength(2)
    expect(openCheckpoint(note, { origin, verifiers: [next.verifier, ed.verifier] }).verifiedBy).toEqual([
      ed.verifier,
      next.verifier,
    ])
  })

  test('a bad line by one trusted key condemns the note, however good the other', async () => {
    const good = parseNote(await signNote(TEXT_7, [ed])).signatures
    const bad = ml.cosign(TEXT_7.replace('\n7\n', '\n8\n'), NOW)
    const note = await signNote(TEXT_7, [], [...good, bad])
    expectCode(() => openCheckpoint(note, { origin, verifiers: [ed.verifier, ml.verifier] }), 'bad_signature')
    expect(openCheckpoint(note, { origin, verifiers: [ed.verifier] }).verifiedBy).toEqual([ed.verifier])
  })

  test('signing again replaces the lines, with the new time', async () => {
    let now = NOW
    const signers = [ed, cosigningSigner(ml, () => now)]
    const first = parseNote(await signNote(TEXT_7, signers))
    now++
    const second = parseNote(await signNote(TEXT_7, signers, first.signatures))
    expect(second.signatures).toHaveLength(2)
    expect(second.signatures[1]!.signature.subarray(0, 8)).not.toEqual(
      first.signatures[1]!.signature.subarray(0, 8),
    )
  })

  test('a cosigner outside of this process may take its time', async () => {
    const remote: Cosigner = {
      name: ml.name,
      id: ml.id,
      type: ml.type,
      cosign: (text, time) => Promise.resolve(ml.cosign(text, time)),
      signSubtree: (subtree) => Promise.resolve(ml.signSubtree(subtree)),
    }
    const note = await signNote(TEXT_7, [cosigningSigner(remote, clock)])
    expect(openNote(note, [parseVerifierKey(formatVerifierKey(ml.verifier))]).verifiedBy).toHaveLength(1)
    await expect(signNote('hello\n', [cosigningSigner(remote, clock)])).rejects.toMatchObject({
      code: 'malformed',
    })
  })
})
