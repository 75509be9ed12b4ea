import { p256 } from '@noble/curves/nist.js'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { formatPkcs8, parsePkcs8, parseSignature, pointOfSpki, spkiOfPoint } from './p256-der.ts'

/** A fresh private key, PKCS #8 DER. */
export function generatePrivateKey(): Uint8Array {
  const scalar = p256.utils.randomSecretKey()
  return formatPkcs8({ scalar, point: p256.getPublicKey(scalar, false) })
}

/**
 * The SubjectPublicKeyInfo (DER) of a private key.
 *
 * @throws SteleError `malformed` unless it is a P-256 key as PKCS #8 DER, with the public key that belongs to it
 */
export function spkiOf(pkcs8: Uint8Array): Uint8Array {
  return spkiOfPoint(readPrivateKey(pkcs8).point)
}

/** True for a SubjectPublicKeyInfo (DER) of an uncompressed point that is on the curve. */
export function isUsableSpki(spki: Uint8Array): boolean {
  const point = pointOfSpki(spki)
  return point !== undefined && p256.utils.isValidPublicKey(point, false)
}

/**
 * Prepares a PKCS #8 key for many signatures over SHA-256, in DER.
 *
 * @throws SteleError `malformed` as {@link spkiOf}
 */
export function signerOf(pkcs8: Uint8Array): (message: Uint8Array) => Uint8Array {
  const { scalar } = readPrivateKey(pkcs8)
  return (message) => p256.sign(message, scalar, { format: 'der', lowS: false })
}

/**
 * Prepares a SubjectPublicKeyInfo for many verifications of DER signatures over SHA-256.
 *
 * @returns a function that never throws; for a key that {@link isUsableSpki} refuses it always answers false
 */
export function verifierOf(spki: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  const point = isUsableSpki(spki) ? pointOfSpki(spki.slice()) : undefined
  if (point === undefined) return () => false
  return (message, signature) => {
    const scalars = parseSignature(signature)
    return scalars !== undefined && p256.verify(scalars, message, point, { format: 'compact', lowS: false })
  }
}

/** Signs once. For more than one signature, {@link signerOf}. */
export function sign(pkcs8: Uint8Array, message: Uint8Array): Uint8Array {
  return signerOf(pkcs8)(message)
}

/** Verifies once. For more than one signature by a key, {@link verifierOf}. */
export function verify(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verifierOf(spki)(message, signature)
}

function readPrivateKey(pkcs8: Uint8Array): { scalar: Uint8Array; point: Uint8Array } {
  const parts = parsePkcs8(pkcs8)
  const matches =
    parts !== undefined &&
    p256.utils.isValidSecretKey(parts.scalar) &&
    equalBytes(p256.getPublicKey(parts.scalar, false), parts.point)
  if (!matches) throw new SteleError('malformed', 'private key: expected a P-256 key as PKCS #8 DER')
  return parts
}
