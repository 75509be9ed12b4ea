import { Point, getPublicKey, hashes, sign as nobleSign } from '@noble/ed25519'
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, equalBytes } from '../bytes/bytes.ts'
import { isAdmissibleSignature, pointOfPublicKey } from './ed25519-rule.ts'

hashes.sha512 = sha512

const ORDER = Point.CURVE().n

/** The public key of a 32-byte seed. */
export function publicKey(seed: Uint8Array): Uint8Array {
  return getPublicKey(seed)
}

/** Prepares a 32-byte seed for many signatures. Ed25519 is deterministic: same message, same 64 bytes. */
export function signerOf(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  return (message) => nobleSign(message, seed)
}

/**
 * Prepares a public key for many verifications by the rule of `ed25519-rule.ts`.
 *
 * @returns a function that never throws; for a key that the rule refuses it always answers false
 */
export function verifierOf(key: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  const encodedA = key.slice()
  const pointA = pointOfPublicKey(encodedA)
  if (pointA === undefined) return () => false
  return (message, signature) => {
    if (!isAdmissibleSignature(signature)) return false
    const encodedR = signature.subarray(0, 32)
    const s = readLittleEndian(signature.subarray(32))
    const k = readLittleEndian(sha512(concatBytes(encodedR, encodedA, message))) % ORDER
    // The library's own verify() multiplies by the cofactor in both of its modes and would accept more than
    // the platform does, hence the equation by hand. Nothing here is secret, so the fast multiplication will do.
    const expectedR = Point.BASE.multiplyUnsafe(s).subtract(pointA.multiplyUnsafe(k))
    return equalBytes(expectedR.toBytes(), encodedR)
  }
}

/** Signs once. For more than one signature, {@link signerOf}. */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return signerOf(seed)(message)
}

/** Verifies once. For more than one signature by a key, {@link verifierOf}. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verifierOf(key)(message, signature)
}

function readLittleEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (let i = bytes.length - 1; i >= 0; i--) value = value * 256n + BigInt(bytes[i]!)
  return value
}
