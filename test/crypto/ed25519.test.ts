import { Point, verify as zip215Verify } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import * as node from '../../src/crypto/ed25519-node.ts'
import * as portable from '../../src/crypto/ed25519-portable.ts'
import { isAdmissibleSignature, isUsablePublicKey } from '../../src/crypto/ed25519-rule.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { verifierKey } from '../../src/note/key.ts'
import cctv from '../vectors/ed25519-edge-cctv.json' with { type: 'json' }
import { codeOf } from '../note/expect-code.ts'

const hex = (text: string): Uint8Array => parseHex(text, 'test')
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
const message = fc.uint8Array({ maxLength: 100 })
const fewRuns = { numRuns: 15 } // the portable implementation does about a thousand verifications in a second

/** One verdict, of which both implementations must be. */
function verdict(key: Uint8Array, signed: Uint8Array, signature: Uint8Array): boolean {
  const verdicts = [node.verify(key, signed, signature), portable.verify(key, signed, signature)]
  expect(verdicts[0]).toBe(verdicts[1])
  return verdicts[0]!
}

describe('the 229 edge cases of C2SP/CCTV', () => {
  // By point 1 of the rule, by point 2, and by point 4.
  const refused = new Set(
    'low_order_A non_canonical_A low_order_R low_order_residue non_canonical_R'.split(' '),
  )
  const cases = cctv.cases.map((c) => ({
    ...c,
    keyBytes: hex(c.key),
    message: encodeUtf8(c.msg),
    signature: hex(c.sig),
    holds: !(c.flags ?? []).some((flag) => refused.has(flag)),
  }))

  test('both implementations give the verdict of the rule', () => {
    expect(cases).toHaveLength(229)
    for (const c of cases) {
      expect([c.number, verdict(c.keyBytes, c.message, c.signature)]).toEqual([c.number, c.holds])
    }
  })

  test('a key is refused exactly if it is of small order or not canonical', () => {
    for (const c of cases) {
      const bad = c.flags?.some((flag) => flag === 'low_order_A' || flag === 'non_canonical_A') ?? false
      expect([c.number, isUsablePublicKey(c.keyBytes)]).toEqual([c.number, !bad])
      const code = codeOf(() => verifierKey('x', KEY_TYPE.ed25519, c.keyBytes))
      expect([c.number, code]).toEqual([c.number, bad ? 'malformed' : undefined])
    }
  })

  test('what holds here also holds with the cofactor, which lets in much more', () => {
    const cofactored = cases.filter((c) => zip215Verify(c.signature, c.message, c.keyBytes))
    const ours = cases.filter((c) => c.holds)
    // The other 23 hold only for verifiers that hash R as they would have written it, instead of as it came.
    expect(cofactored).toHaveLength(206)
    expect(cases.filter((c) => !cofactored.includes(c) && !c.flags?.includes('reencoded_k'))).toEqual([])
    expect(ours.map((c) => c.flags)).toEqual([['low_order_component_A']])
    expect(ours.filter((c) => !cofactored.includes(c))).toEqual([])
  })
})

test('seeds give the same public key and the same signature on both', () => {
  fc.assert(
    fc.property(bytes32, message, (seed, text) => {
      const key = node.publicKey(seed)
      const signature = node.sign(seed, text)
      expect(portable.publicKey(seed)).toEqual(key)
      expect(portable.sign(seed, text)).toEqual(signature)
      expect(verdict(key, text, signature)).toBe(true)
    }),
    fewRuns,
  )
})

test('a flipped bit in key, message or signature gets the same refusal from both', () => {
  const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
    const copy = bytes.slice()
    copy[Math.floor(bit / 8)]! ^= 2 ** (bit % 8)
    return copy
  }
  const bit = (count: number) => fc.integer({ min: 0, max: count - 1 })
  fc.assert(
    fc.property(bytes32, bytes32, bit(256), bit(512), (seed, text, keyBit, signatureBit) => {
      const key = node.publicKey(seed)
      const signature = node.sign(seed, text)
      expect(verdict(flipped(key, keyBit), text, signature)).toBe(false)
      expect(verdict(key, flipped(text, keyBit), signature)).toBe(false)
      expect(verdict(key, text, flipped(signature, signatureBit))).toBe(false)
    }),
    fewRuns,
  )
})

test('random keys and signatures get the same verdict from both', () => {
  const random = fc.uint8Array({ minLength: 64, maxLength: 64 })
  fc.assert(
    fc.property(bytes32, message, random, (key, text, signature) => {
      expect(verdict(key, text, signature)).toBe(false)
    }),
    { numRuns: 50 },
  )
})

test('all eight points of small order are refused, in each of their encodings', () => {
  // Orders 1, 2, 4, 4, 8, 8, 8, 8; then y + p, and x = 0 with the sign bit set.
  const encodings = [
    '0100000000000000000000000000000000000000000000000000000000000000',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    '0000000000000000000000000000000000000000000000000000000000000000',
    '0000000000000000000000000000000000000000000000000000000000000080',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
    '0100000000000000000000000000000000000000000000000000000000000080',
    'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  ]
  expect(encodings.filter((key) => isUsablePublicKey(hex(key)))).toEqual([])
  // The identity as key and as R, and S = 0: true for any message, if the key were let in.
  const forged = hex(`01${'00'.repeat(63)}`)
  expect(encodings.filter((key) => verdict(hex(key), encodeUtf8('anything'), forged))).toEqual([])
})

test('with points of mixed order, the equation without the cofactor decides on both', () => {
  // Public key aB + T and R = rB + jT, with T of order 8. S = r + ka makes the cofactored equation true for every j;
  // without the cofactor it takes j = -k mod 8.
  const { n } = Point.CURVE()
  const torsion = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
  const [a, r] = [123456789n, 987654321n]
  const key = Point.BASE.multiply(a).add(torsion).toBytes()
  const littleEndian = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes.toReversed())}`)
  let held = 0
  for (let attempt = 0; attempt < 64; attempt++) {
    const text = Uint8Array.of(attempt)
    const j = BigInt(attempt % 8)
    const encodedR = Point.BASE.multiply(r).add(torsion.multiplyUnsafe(j)).toBytes()
    const k = littleEndian(sha512(concatBytes(encodedR, key, text))) % n
    const s = hex(((r + k * a) % n).toString(16).padStart(64, '0')).toReversed()
    const signature = concatBytes(encodedR, s)
    const holds = (j + k) % 8n === 0n
    expect(zip215Verify(signature, text, key)).toBe(true)
    expect(verdict(key, text, signature)).toBe(holds)
    if (holds) held++
  }
  expect(held).toBeGreaterThan(0)
  expect(held).toBeLessThan(64)
})

test('R of small order is refused, though the equation is true', () => {
  // R = 0 and S = ka: what a signer would make whose secret r is 0.
  const { n } = Point.CURVE()
  const a = 123456789n
  const key = Point.BASE.multiply(a).toBytes()
  const encodedR = Point.ZERO.toBytes()
  const text = encodeUtf8('anything')
  const k = BigInt(`0x${toHex(sha512(concatBytes(encodedR, key, text)).toReversed())}`) % n
  const s = hex(((k * a) % n).toString(16).padStart(64, '0')).toReversed()
  expect(zip215Verify(concatBytes(encodedR, s), text, key)).toBe(true)
  expect(verdict(key, text, concatBytes(encodedR, s))).toBe(false)
})

test('a key that no point has is refused', () => {
  const noPoint = hex('0200000000000000000000000000000000000000000000000000000000000000')
  expect(() => Point.fromBytes(noPoint)).toThrow()
  expect(isUsablePublicKey(noPoint)).toBe(false)
  expect(isUsablePublicKey(new Uint8Array(31))).toBe(false)
  expect(isUsablePublicKey(new Uint8Array(33))).toBe(false)
})

test('S and S + L are not both accepted', () => {
  const seed = new Uint8Array(32)
  const text = encodeUtf8('malleable')
  const signature = node.sign(seed, text)
  const s = BigInt(`0x${toHex(signature.slice(32).toReversed())}`)
  const other = hex((s + Point.CURVE().n).toString(16).padStart(64, '0')).toReversed()
  const twin = Uint8Array.from([...signature.slice(0, 32), ...other])
  expect(zip215Verify(signature, text, node.publicKey(seed))).toBe(true)
  expect(verdict(node.publicKey(seed), text, signature)).toBe(true)
  expect(verdict(node.publicKey(seed), text, twin)).toBe(false)
})

test('S is canonical up to L - 1', () => {
  const { n } = Point.CURVE()
  const withS = (s: bigint): Uint8Array =>
    Uint8Array.from([...Point.BASE.toBytes(), ...hex(s.toString(16).padStart(64, '0')).toReversed()])
  expect([0n, 1n, n - 1n].map((s) => isAdmissibleSignature(withS(s)))).toEqual([true, true, true])
  expect([n, n + 1n, 2n ** 256n - 1n].map((s) => isAdmissibleSignature(withS(s)))).toEqual([
    false,
    false,
    false,
  ])
})

test('a signature of another length is false, not an error', () => {
  const key = node.publicKey(new Uint8Array(32))
  for (const length of [0, 32, 63, 65])
    expect(verdict(key, new Uint8Array(1), new Uint8Array(length))).toBe(false)
})

test('results are plain bytes on Node too', () => {
  expect(node.publicKey(new Uint8Array(32)).constructor).toBe(Uint8Array)
  expect(node.sign(new Uint8Array(32), new Uint8Array(1)).constructor).toBe(Uint8Array)
})

test('a seed of another length is refused by both', () => {
  expect(() => node.publicKey(new Uint8Array(64))).toThrow()
  expect(() => portable.publicKey(new Uint8Array(64))).toThrow()
})
