import * as crypto from 'node:crypto'
import { ED25519_KEY_BYTES, isAdmissibleSignature, isUsablePublicKey } from './ed25519-rule.ts'

// RFC 8410: an Ed25519 key in DER is a fixed prefix and the 32 bytes.
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex')
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** The public key of a 32-byte seed. */
export function publicKey(seed: Uint8Array): Uint8Array {
  const spki = crypto.createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length))
}

/** Prepares a 32-byte seed for many signatures. Ed25519 is deterministic: same message, same 64 bytes. */
export function signerOf(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  // Made once: importing a key takes longer than signing with it.
  const key = privateKey(seed)
  return (message) => new Uint8Array(crypto.sign(null, message, key))
}

/**
 * Prepares a public key for many verifications by the rule of `ed25519-rule.ts`.
 *
 * @returns a function that never throws; for a key that the rule refuses it always answers false
 */
export function verifierOf(key: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  // Which keys and signatures the platform refuses by itself differs between versions; the equation does not.
  if (!isUsablePublicKey(key)) return () => false
  const spki = Buffer.concat([SPKI_PREFIX, key])
  const imported = crypto.createPublicKey({ key: spki, format: 'der', type: 'spki' })
  return (message, signature) =>
    isAdmissibleSignature(signature) && crypto.verify(null, message, imported, signature)
}

/** Signs once. For more than one signature, {@link signerOf}. */
export function sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  return signerOf(seed)(message)
}

/** Verifies once. For more than one signature by a key, {@link verifierOf}. */
export function verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  return verifierOf(key)(message, signature)
}

function privateKey(seed: Uint8Array): crypto.KeyObject {
  if (seed.length !== ED25519_KEY_BYTES) throw new RangeError(`a seed has 32 bytes, not ${seed.length}`)
  return crypto.createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
}
