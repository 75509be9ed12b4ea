import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { sha256 } from '@noble/hashes/sha2.js'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import * as node from '../../src/crypto/mldsa44-node.ts'
import * as portable from '../../src/crypto/mldsa44-portable.ts'
import { ML_DSA_44_KEY_BYTES, ML_DSA_44_SIGNATURE_BYTES } from '../../src/crypto/mldsa44-sizes.ts'

const SEED = new Uint8Array(32).fill(44)
const MESSAGE = encodeUtf8('message')
const KEY = portable.publicKey(SEED)
// Without fresh randomness, so that what is said of its hints below holds each time.
const SIGNATURE = ml_dsa44.sign(MESSAGE, ml_dsa44.keygen(SEED).secretKey, { extraEntropy: false })
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const fewRuns = { numRuns: 8 } // the portable implementation makes about 200 signatures in a second

// FIPS 204 algorithm 26: commitment hash, response, and 80 places of hints with a running count for each of 4 polynomials.
const RESPONSE = 32
const HINTS = RESPONSE + 4 * 576
const COUNTS = HINTS + 80

/** One verdict, of which both implementations must be. */
function verdict(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const verdicts = [node, portable].map(({ verifierOf }) => verifierOf(key)(message, signature))
  expect(verdicts[0]).toBe(verdicts[1])
  return verdicts[0]!
}

function spoilt(bytes: Uint8Array, at: number, change: (byte: number) => number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = change(copy[at]!)
  return copy
}

test('the implementation of Node is taken where there is one', () => {
  const atLeast = (version: string, wanted: [number, number]) => {
    const [major, minor] = version.split('.').map(Number)
    return major! > wanted[0] || (major === wanted[0] && minor! >= wanted[1])
  }
  const { node: nodeVersion, openssl } = process.versions
  expect(node.isNative).toBe(atLeast(nodeVersion, [24, 6]) && atLeast(openssl, [3, 5]))
})

test('seeds give the same public key on both, and each verifies what the other signs', () => {
  fc.assert(
    fc.property(bytes32, fc.uint8Array({ maxLength: 300 }), (seed, message) => {
      const key = node.publicKey(seed)
      expect(portable.publicKey(seed)).toEqual(key)
      expect(key).toHaveLength(ML_DSA_44_KEY_BYTES)
      for (const { signerOf } of [node, portable]) {
        const signature = signerOf(seed)(message)
        expect(signature).toHaveLength(ML_DSA_44_SIGNATURE_BYTES)
        expect(verdict(key, message, signature)).toBe(true)
      }
    }),
    fewRuns,
  )
})

test('a flipped bit in key, message or signature gets the same refusal from both', () => {
  const place = (length: number) => fc.integer({ min: 0, max: length - 1 })
  fc.assert(
    fc.property(
      place(KEY.length),
      place(MESSAGE.length),
      place(SIGNATURE.length),
      fc.nat(7),
      (k, m, s, bit) => {
        const flip = (byte: number) => byte ^ (2 ** bit)
        expect(verdict(spoilt(KEY, k, flip), MESSAGE, SIGNATURE)).toBe(false)
        expect(verdict(KEY, spoilt(MESSAGE, m, flip), SIGNATURE)).toBe(false)
        expect(verdict(KEY, MESSAGE, spoilt(SIGNATURE, s, flip))).toBe(false)
      },
    ),
    { numRuns: 40 },
  )
})

describe('of the spellings that a signature could have, one holds', () => {
  const counts = SIGNATURE.subarray(COUNTS)
  const used = counts[3]!

  test('unused places of hints are zero', () => {
    expect(used).toBeLessThan(80)
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, HINTS + used, () => 1),
      ),
    ).toBe(false)
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, HINTS + 79, () => 255),
      ),
    ).toBe(false)
  })

  test('the hints of a polynomial are in order, each once', () => {
    expect(counts[0]).toBeGreaterThan(1)
    const [first, second] = SIGNATURE.subarray(HINTS, HINTS + 2)
    const swapped = spoilt(
      spoilt(SIGNATURE, HINTS, () => second!),
      HINTS + 1,
      () => first!,
    )
    expect(verdict(KEY, MESSAGE, swapped)).toBe(false)
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, HINTS + 1, () => first!),
      ),
    ).toBe(false)
  })

  test('counts do not go back, nor beyond the places', () => {
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, COUNTS + 3, () => 81),
      ),
    ).toBe(false)
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, COUNTS + 3, () => counts[2]! - 1),
      ),
    ).toBe(false)
    expect(
      verdict(
        KEY,
        MESSAGE,
        spoilt(SIGNATURE, COUNTS, () => 255),
      ),
    ).toBe(false)
  })

  test('a response that is too large is refused', () => {
    for (const byte of [0x00, 0xff]) {
      const large = SIGNATURE.slice()
      large.fill(byte, RESPONSE, HINTS)
      expect(verdict(KEY, MESSAGE, large)).toBe(false)
    }
  })
})

test('bytes of another length are refused by both, and nothing throws', () => {
  for (const length of [0, 1, 64, ML_DSA_44_SIGNATURE_BYTES - 1, ML_DSA_44_SIGNATURE_BYTES + 1]) {
    expect(verdict(KEY, MESSAGE, new Uint8Array(length))).toBe(false)
  }
  for (const length of [0, 32, ML_DSA_44_KEY_BYTES - 1, ML_DSA_44_KEY_BYTES + 1]) {
    expect(verdict(new Uint8Array(length), MESSAGE, SIGNATURE)).toBe(false)
  }
  for (const length of [0, 31, 64]) {
    for (const { publicKey } of [node, portable])
      expect(() => publicKey(new Uint8Array(length))).toThrow(/32/)
  }
})

test('it is the pure variant with an empty context, and no other', () => {
  const { secretKey } = ml_dsa44.keygen(SEED)
  const context = encodeUtf8('context')
  expect(verdict(KEY, MESSAGE, ml_dsa44.sign(MESSAGE, secretKey, { context: new Uint8Array(0) }))).toBe(true)
  expect(verdict(KEY, MESSAGE, ml_dsa44.sign(MESSAGE, secretKey, { context }))).toBe(false)
  expect(verdict(KEY, MESSAGE, ml_dsa44.prehash(sha256).sign(MESSAGE, secretKey))).toBe(false)
  expect(verdict(KEY, MESSAGE, ml_dsa44.internal.sign(MESSAGE, secretKey))).toBe(false)
})

test('changing the key or the seed array afterwards changes nothing', () => {
  for (const { signerOf, verifierOf } of [node, portable]) {
    const [seed, key] = [SEED.slice(), KEY.slice()]
    const [sign, verify] = [signerOf(seed), verifierOf(key)]
    seed.fill(0)
    key.fill(0)
    expect(verify(MESSAGE, sign(MESSAGE))).toBe(true)
  }
})
