import { p256 } from '@noble/curves/nist.js'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { parseHex, toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { formatPkcs8, parsePkcs8, pointOfSpki, spkiOfPoint } from '../../src/crypto/p256-der.ts'
import * as node from '../../src/crypto/p256-node.ts'
import * as portable from '../../src/crypto/p256-portable.ts'
import { expectCode } from '../note/expect-code.ts'

const text = encodeUtf8('a tree head')
const privateKey = node.generatePrivateKey()
const spki = node.spkiOf(privateKey)
const signature = node.sign(privateKey, text)
const ORDER = p256.Point.Fn.ORDER
const FIELD = p256.Point.Fp.ORDER

function verdict(key: Uint8Array, message: Uint8Array, signed: Uint8Array): boolean {
  const verdicts = [node.verify(key, message, signed), portable.verify(key, message, signed)]
  expect(verdicts[0]).toBe(verdicts[1])
  return verdicts[0]!
}

function usable(key: Uint8Array): boolean {
  const verdicts = [node.isUsableSpki(key), portable.isUsableSpki(key)]
  expect(verdicts[0]).toBe(verdicts[1])
  return verdicts[0]!
}

function scalars(bytes: Uint8Array): { r: bigint; s: bigint } {
  return p256.Signature.fromBytes(bytes, 'der')
}

/** DER without the checks that a library would make. */
function der(r: string, s: string): Uint8Array {
  const integer = (digits: string) => `02${byte(digits.length / 2)}${digits}`
  const body = integer(r) + integer(s)
  return parseHex(`30${byte(body.length / 2)}${body}`, 'test')
}
const byte = (n: number): string => n.toString(16).padStart(2, '0')
const even = (digits: string): string => (digits.length % 2 === 0 ? digits : `0${digits}`)
const digitsOf = (n: bigint): string => {
  const digits = even(n.toString(16))
  return Number.parseInt(digits.slice(0, 2), 16) >= 0x80 ? `00${digits}` : digits
}
const bytes32 = (n: bigint): Uint8Array => parseHex(n.toString(16).padStart(64, '0'), 'test')

test('each implementation verifies what the other signs', () => {
  const other = portable.generatePrivateKey()
  for (const key of [privateKey, other]) {
    expect(node.spkiOf(key)).toEqual(portable.spkiOf(key))
    expect(verdict(node.spkiOf(key), text, node.sign(key, text))).toBe(true)
    expect(verdict(node.spkiOf(key), text, portable.sign(key, text))).toBe(true)
    expect(verdict(node.spkiOf(key), encodeUtf8('another'), node.sign(key, text))).toBe(false)
  }
  expect(verdict(node.spkiOf(other), text, signature)).toBe(false)
})

test('a high S and a low S are both accepted: RFC 6962 logs write either', () => {
  const { r, s } = scalars(signature)
  expect(verdict(spki, text, der(digitsOf(r), digitsOf(s)))).toBe(true)
  expect(verdict(spki, text, der(digitsOf(r), digitsOf(ORDER - s)))).toBe(true)
})

test('every other spelling of a good signature is refused by both', () => {
  const { r, s } = scalars(signature)
  const [R, S] = [digitsOf(r), digitsOf(s)]
  const body = toHex(signature.slice(2))
  const length = body.length / 2
  const spellings: Record<string, Uint8Array> = {
    'padded r': der(`00${R}`, S),
    'padded s': der(R, `00${S}`),
    'r + n': der(digitsOf(r + ORDER), S),
    's + n': der(R, digitsOf(s + ORDER)),
    'long form of the length': parseHex(`3081${byte(length)}${body}`, 'test'),
    'indefinite length': parseHex(`3080${body}0000`, 'test'),
    'a byte behind': parseHex(`${toHex(signature)}00`, 'test'),
    'a byte inside, behind s': parseHex(`30${byte(length + 1)}${body}00`, 'test'),
    'a byte missing': signature.slice(0, -1),
    'other tag': parseHex(`31${byte(length)}${body}`, 'test'),
    'raw r and s': concatBytes(bytes32(r), bytes32(s)),
    empty: new Uint8Array(0),
  }
  for (const [name, spelling] of Object.entries(spellings)) {
    expect([name, verdict(spki, text, spelling)]).toEqual([name, false])
  }
})

test('zero, the group order and negative numbers are refused by both', () => {
  const { r, s } = scalars(signature)
  const [R, S] = [digitsOf(r), digitsOf(s)]
  for (const bad of ['00', digitsOf(ORDER), digitsOf(ORDER + 1n), 'ff', '', '80'.padEnd(64, '0')]) {
    expect(verdict(spki, text, der(bad, S))).toBe(false)
    expect(verdict(spki, text, der(R, bad))).toBe(false)
  }
})

test('a flipped byte anywhere in a signature gets the same refusal from both', () => {
  fc.assert(
    fc.property(fc.nat(signature.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = signature.slice()
      changed[at]! ^= mask
      expect(verdict(spki, text, changed)).toBe(false)
    }),
    { numRuns: 50 },
  )
})

test('random bytes as key and signature are false on both, not an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.uint8Array({ maxLength: 80 }), (key, random) => {
      expect(verdict(key, text, random)).toBe(false)
      expect(verdict(spki, text, random)).toBe(false)
    }),
    { numRuns: 50 },
  )
})

test('public keys that are not an uncompressed point on the curve are refused by both', () => {
  const point = p256.Point.fromBytes(pointOfSpki(spki)!)
  const offCurve = spki.slice()
  offCurve[offCurve.length - 1]! ^= 1
  // x = 5 is on the curve, and 5 + p fits into 32 bytes.
  const five = p256.Point.fromBytes(concatBytes(Uint8Array.of(2), bytes32(5n)))
  const beyondField = concatBytes(Uint8Array.of(4), bytes32(5n + FIELD), bytes32(five.y))
  const compressed = parseHex(
    `3039301306072a8648ce3d020106082a8648ce3d030107032200${toHex(point.toBytes(true))}`,
    'test',
  )
  expect(usable(spki)).toBe(true)
  expect(usable(spkiOfPoint(five.toBytes(false)))).toBe(true)
  for (const bad of [
    offCurve,
    compressed,
    spkiOfPoint(beyondField),
    spkiOfPoint(new Uint8Array(65)),
    spkiOfPoint(Uint8Array.of(0)),
    concatBytes(spki, Uint8Array.of(0)),
    spki.slice(0, -1),
    pointOfSpki(spki)!,
    new Uint8Array(0),
  ]) {
    expect(usable(bad)).toBe(false)
    expect(verdict(bad, text, signature)).toBe(false)
  }
})

test('private keys of another form, or beside the wrong public key, are refused by both', () => {
  const parts = parsePkcs8(privateKey)!
  expect(formatPkcs8(parts)).toEqual(privateKey)
  const other = parsePkcs8(portable.generatePrivateKey())!
  for (const bad of [
    formatPkcs8({ scalar: parts.scalar, point: other.point }),
    formatPkcs8({ scalar: new Uint8Array(32), point: parts.point }),
    formatPkcs8({ scalar: bytes32(ORDER), point: parts.point }),
    privateKey.slice(0, -1),
    concatBytes(privateKey, Uint8Array.of(0)),
    parts.scalar,
  ]) {
    expectCode(() => node.signerOf(bad), 'malformed')
    expectCode(() => portable.signerOf(bad), 'malformed')
    expectCode(() => node.spkiOf(bad), 'malformed')
    expectCode(() => portable.spkiOf(bad), 'malformed')
  }
})

test('results are plain bytes on Node too', () => {
  for (const bytes of [privateKey, spki, signature]) expect(bytes.constructor).toBe(Uint8Array)
})
