/**
 * The rule for valid Ed25519 signatures, on every platform. Both implementations apply the checks in this file and
 * then the same equation, so they always agree on a signature.
 *
 * 1. The public key A is the canonical encoding (y < p) of a point on the curve, and not of small order: under
 *    such a key one signature can hold for many messages, so it identifies no signer.
 * 2. R is not of small order. This check only makes platforms agree: recent versions of Node (2026), like Web
 *    Cryptography, refuse such an R by themselves, and older ones do not.
 * 3. S < L, so that no second signature can be derived from a first one.
 * 4. encode([S]B - [k]A) equals the 32 bytes of R, with k = SHA-512(R || A || message) mod L.
 *
 * How that relates to RFC 8032 section 5.1.7: point 4 is the equation without the cofactor, which the RFC calls
 * "sufficient, but not required"; it also refuses an R that is not canonical, as the RFC does, and point 3 is the
 * RFC's. Points 1 and 2 are stricter, for the RFC has nothing about small order. So what holds here holds by
 * RFC 8032. What an honest signer makes holds here, but for a chance of 2^-252 (R = 0). What a cofactored verifier
 * (ZIP 215, batch verifiers) accepts beyond that can only be made on purpose, by the owner of the key.
 */
import { Point } from '@noble/ed25519'
import { equalBytes } from '../bytes/bytes.ts'
import { parseHex } from '../bytes/hex.ts'

/** Bytes in a public key, and in the seed of a private one. */
export const ED25519_KEY_BYTES = 32

const SIGNATURE_BYTES = 64

// The group order L = 2^252 + 27742317777372353535851937790883648493, big-endian.
const ORDER = parseHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed', 'order')

// The canonical encodings of the eight points whose order divides the cofactor: the multiples of one of order 8.
const SMALL_ORDER = multiplesOf(
  Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'),
  8,
)

/**
 * The point that a public key encodes.
 *
 * @returns nothing for a key that point 1 of the rule refuses
 */
export function pointOfPublicKey(publicKey: Uint8Array): Point | undefined {
  if (publicKey.length !== ED25519_KEY_BYTES || isSmallOrder(publicKey)) return undefined
  try {
    return Point.fromBytes(publicKey)
  } catch {
    // With 32 bytes given, decoding only throws for y >= p, y that no point has, and x = 0 with a sign.
    return undefined
  }
}

/** True for a public key that point 1 of the rule lets in. */
export function isUsablePublicKey(publicKey: Uint8Array): boolean {
  return pointOfPublicKey(publicKey) !== undefined
}

/** True for 64 bytes that points 2 and 3 of the rule let in. */
export function isAdmissibleSignature(signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || isSmallOrder(signature.subarray(0, 32))) return false
  for (let i = 0; i < ORDER.length; i++) {
    // S is little-endian.
    const difference = signature[SIGNATURE_BYTES - 1 - i]! - ORDER[i]!
    if (difference !== 0) return difference < 0
  }
  return false
}

function isSmallOrder(encoded: Uint8Array): boolean {
  return SMALL_ORDER.some((point) => equalBytes(point, encoded))
}

function multiplesOf(point: Point, count: number): Uint8Array[] {
  const encodings: Uint8Array[] = []
  for (let multiple = Point.ZERO; encodings.length < count; multiple = multiple.add(point)) {
    encodings.push(multiple.toBytes())
  }
  return encodings
}
