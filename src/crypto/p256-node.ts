import * as crypto from 'node:crypto'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { parsePkcs8, parseSignature, pointOfSpki, spkiOfPoint } from './p256-der.ts'

/** A fresh private key, PKCS #8 DER. */
export function generatePrivateKey(): Uint8Array {
  const { privateKey } = crypto.generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  return new Uint8Array(privateKey.export({ format: 'der', type: 'pkcs8' }))
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
  return importSpki(spki) !== undefined
}

/**
 * Prepares a PKCS #8 key for many signatures over SHA-256, in DER.
 *
 * @throws SteleError `malformed` as {@link spkiOf}
 */
export function signerOf(pkcs8: Uint8Array): (message: Uint8Array) => Uint8Array {
  const { key } = readPrivateKey(pkcs8)
  return (message) => new Uint8Array(crypto.sign('sha256', message, key))
}

/**
 * Prepares a SubjectPublicKeyInfo for many verifications of DER signatures over SHA-256.
 *
 * @returns a function that never throws; for a key that {@link isUsableSpki} refuses it always answers false
 */
export function verifierOf(spki: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  const key = importSpki(spki)
  if (key === undefined) return () => false
  return (message, signature) =>
    parseSignature(signature) !== undefined && crypto.verify('sha256', message, key, signature)
}

/** Signs once. For more than one signature, {@link signerOf}. */
export function sign(pkcs8: Uint8Array, message: Uint8Array): Uint8Array {
  return signerOf(pkcs8)(message)
}

/** Verifies once. For more than one signature by a key, {@link verifierOf}. */
export function verify(spki: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verifierOf(spki)(message, signature)
}

function importSpki(spki: Uint8Array): crypto.KeyObject | undefined {
  if (pointOfSpki(spki) === undefined) return undefined
  try {
    return crypto.createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' })
  } catch {
    // The form is right, so what OpenSSL minds is the point: it is not on the curve.
    return undefined
  }
}

function readPrivateKey(pkcs8: Uint8Array): { key: crypto.KeyObject; point: Uint8Array } {
  const parts = parsePkcs8(pkcs8)
  const point = parts && pointOfScalar(parts.scalar)
  if (parts === undefined || point === undefined || !equalBytes(parts.point, point)) {
    throw new SteleError('malformed', 'private key: expected a P-256 key as PKCS #8 DER')
  }
  const key = crypto.createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' })
  return { key, point }
}

// OpenSSL believes the public key that stands beside a private one, so it is computed again.
function pointOfScalar(scalar: Uint8Array): Uint8Array | undefined {
  const ecdh = crypto.createECDH('prime256v1')
  try {
    ecdh.setPrivateKey(scalar)
  } catch {
    return undefined // zero, or not below the group order
  }
  return new Uint8Array(ecdh.getPublicKey())
}
