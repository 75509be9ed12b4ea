import { readFileSync } from 'node:fs'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseCheckpoint } from '../../src/note/checkpoint.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatVerifierKey, generateSigningKey, type SigningKey } from '../../src/note/key.ts'
import { parseNote, signNote } from '../../src/note/note.ts'
import {
  followRotations,
  formatRotation,
  MAX_ROTATIONS,
  openRotation,
  parseRotation,
  signRotation,
  splitRotations,
} from '../../src/note/rotation.ts'
import { expectCode } from './expect-code.ts'

const ORIGIN = 'log.example/demo'
const keyOf = (n: number, name = ORIGIN): SigningKey => generateSigningKey(name, new Uint8Array(32).fill(n))
const [A, B, C, D] = [1, 2, 3, 4].map((n) => keyOf(n)) as [SigningKey, SigningKey, SigningKey, SigningKey]
const about = (old: SigningKey, next: SigningKey, origin = ORIGIN) => ({
  origin,
  size: 7,
  timeSeconds: 1_750_000_000,
  old: old.verifier,
  next: next.verifier,
  overlapSeconds: 1_752_592_000,
})
const rotation = (old: SigningKey, next: SigningKey): Promise<string> => signRotation(about(old, next), old)
const names = (keys: readonly Parameters<typeof formatVerifierKey>[0][]): string[] =>
  keys.map(formatVerifierKey)

/** The example of proto-docs/keys.md: both seeds are made of one byte. */
const EXAMPLE = `stele key rotation v1
origin log.example/demo
size 7
time 1750000000
old ${formatVerifierKey(A.verifier)}
new ${formatVerifierKey(B.verifier)}
until 1752592000
`

describe('a key rotation', () => {
  test('is written and read as the documentation shows', async () => {
    expect(formatRotation(about(A, B))).toBe(EXAMPLE)
    const note = await rotation(A, B)
    expect(parseNote(note).text).toBe(EXAMPLE)
    expect(readFileSync('proto-docs/keys.md', 'utf8')).toContain(note)
    const { old, next, ...rest } = openRotation(note)
    expect(names([old, next])).toEqual(names([A.verifier, B.verifier]))
    expect(rest).toEqual({
      origin: ORIGIN,
      size: 7,
      timeSeconds: 1_750_000_000,
      overlapSeconds: 1_752_592_000,
    })
  })

  test('is no checkpoint, and no checkpoint is one', async () => {
    expectCode(() => parseCheckpoint(EXAMPLE), 'malformed')
    const checkpoint = await signNote(`${ORIGIN}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n`, [A])
    expectCode(() => parseRotation(checkpoint), 'malformed')
  })

  test('holds only if the old key signed it, as it stands there', async () => {
    const byAnother = await signNote(EXAMPLE, [B])
    expectCode(() => openRotation(byAnother), 'untrusted_signer')
    expect(() => openRotation(EXAMPLE)).toThrow(/malformed|expected/)
    const note = await rotation(A, B)
    expect(() => openRotation(note.replace('size 7', 'size 8'))).toThrow(/does not verify/)
  })

  test('names two keys of one name, the old one Ed25519', async () => {
    const other = keyOf(9, 'log.example/other')
    const mldsa = generateCosignerKey(ORIGIN, KEY_TYPE.mlDsa44Cosignature, new Uint8Array(32).fill(7))
    const cosigner = generateCosignerKey(ORIGIN, KEY_TYPE.ed25519Cosignature, new Uint8Array(32).fill(8))
    expect(() => formatRotation(about(A, other))).toThrow(/one name/)
    expect(() => formatRotation(about(A, A))).toThrow(/different/)
    expect(() => formatRotation({ ...about(A, B), old: mldsa.verifier })).toThrow(/Ed25519 key behind "old"/)
    expect(() => formatRotation({ ...about(A, B), next: cosigner.verifier })).toThrow(/behind "new"/)
    const note = await signRotation({ ...about(A, B), next: mldsa.verifier }, A)
    expect(names([openRotation(note).next])).toEqual(names([mldsa.verifier]))
  })

  test.each([
    ['another header', 'v1', 'v2'],
    ['a missing line', 'size 7\n', ''],
    ['a line too many', 'until 1752592000\n', 'until 1752592000\nmore 1\n'],
    ['another order', 'size 7\ntime 1750000000', 'time 1750000000\nsize 7'],
    ['a number with a zero in front', 'size 7', 'size 07'],
    ['two spaces', 'size 7', 'size  7'],
  ])('with %s is malformed, whoever signed it', async (_, from, to) => {
    const note = await signNote(EXAMPLE.replace(from, to), [A])
    expectCode(() => parseRotation(note), 'malformed')
  })
})

describe('following', () => {
  const log = { origin: ORIGIN, verifiers: [A.verifier] }

  test('leads from the pinned key over any number of steps, in any order', async () => {
    const steps = [await rotation(A, B), await rotation(B, C), await rotation(C, D)]
    const keys = names([A, B, C, D].map(({ verifier }) => verifier))
    expect(names(followRotations(log, steps.join('')))).toEqual(keys)
    expect(names(followRotations(log, steps.toReversed().join(''))).toSorted()).toEqual(keys.toSorted())
    expect(names(followRotations(log, ''))).toEqual(names([A.verifier]))
  })

  test('leads nowhere from keys that nobody pinned, whatever they say', async () => {
    const forged = [await rotation(B, C), await rotation(C, D), await rotation(B, A)]
    expect(names(followRotations(log, forged.join('')))).toEqual(names([A.verifier]))
  })

  test('fails closed: a statement in the name of a trusted key that it has not signed, or about another log', async () => {
    const forged = await signNote(EXAMPLE, [generateSigningKey(ORIGIN, new Uint8Array(32).fill(66))])
    expectCode(() => followRotations(log, forged), 'untrusted_signer')
    const changed = (await rotation(A, B)).replace('until 1752592000', 'until 1')
    expectCode(() => followRotations(log, changed), 'bad_signature')
    const foreign = await signRotation(about(A, B, 'log.example/other'), A)
    expectCode(() => followRotations(log, foreign), 'wrong_origin')
    const behind = `x${await rotation(A, B)}`
    expectCode(() => followRotations(log, behind), 'malformed')
    expectCode(() => followRotations(log, EXAMPLE), 'malformed')
  })

  test('has a bound', async () => {
    const note = await rotation(A, B)
    expect(splitRotations(note.repeat(MAX_ROTATIONS))).toHaveLength(MAX_ROTATIONS)
    expectCode(() => splitRotations(note.repeat(MAX_ROTATIONS + 1)), 'too_large')
    expectCode(() => splitRotations('x'.repeat(4_000_001)), 'too_large')
  })

  test('trusts exactly what statements lead to, whatever the statements', async () => {
    const keys = [A, B, C, D]
    const edge = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 3 }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          edge.filter(([a, b]) => a !== b),
          { maxLength: 8 },
        ),
        async (edges) => {
          const notes = await Promise.all(edges.map(([a, b]) => rotation(keys[a]!, keys[b]!)))
          const reached = new Set([0])
          for (const _ of keys) for (const [a, b] of edges) if (reached.has(a)) reached.add(b)
          const expected = [...reached].map((i) => formatVerifierKey(keys[i]!.verifier)).toSorted()
          expect(names(followRotations(log, notes.join(''))).toSorted()).toEqual(expected)
        },
      ),
      { numRuns: 40 },
    )
  })
})
