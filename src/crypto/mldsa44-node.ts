import * as crypto from 'node:crypto'
import * as portable from './mldsa44-portable.ts'
import { ML_DSA_44_KEY_BYTES, ML_DSA_44_SEED_BYTES, ML_DSA_44_SIGNATURE_BYTES } from './mldsa44-sizes.ts'

// RFC 9881: in DER, an ML-DSA-44 key is a fixed prefix and the 1312 bytes, or the 32 of the seed.
const SPKI_PREFIX = Buffer.from('30820532300b06096086480165030403110382052100', 'hex')
const PKCS8_PREFIX = Buffer.from('3034020100300b060960864801650304031104228020', 'hex')

/** True where this Node has ML-DSA of its own: from 24.6 on, if its OpenSSL is 3.5 or later. */
export const isNative: boolean = hasMlDsa()

/** The public key of a 32-byte seed (FIPS 204, ML-DSA.KeyGen_internal). */
export function publicKey(seed: Uint8Array): Uint8Array {
  if (!isNative) return portable.publicKey(seed)
  const spki = crypto.createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' })
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length))
}

/**
 * Prepares a 32-byte seed for many signatures: pure ML-DSA with an empty context. Signing is hedged with fresh
 * randomness, so the same message gives other bytes each time.
 */
export function signerOf(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  if (!isNative) return portable.signerOf(seed)
  const key = privateKey(seed)
  return (message) => new Uint8Array(crypto.sign(null, message, key))
}

/**
 * Prepares a public key for many verifications: pure ML-DSA with an empty context.
 *
 * @returns a function that never throws; for bytes of the wrong length it answers false
 */
export function verifierOf(key: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  if (!isNative) return portable.verifierOf(key)
  if (key.length !== ML_DSA_44_KEY_BYTES) return () => false
  const imported = importPublicKey(key)
  return (message, signature) =>
    signature.length === ML_DSA_44_SIGNATURE_BYTES && crypto.verify(null, message, imported, signature)
}

function privateKey(seed: Uint8Array): crypto.KeyObject {
  if (seed.length !== ML_DSA_44_SEED_BYTES) throw new RangeError(`a seed has 32 bytes, not ${seed.length}`)
  return crypto.createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' })
}

function importPublicKey(key: Uint8Array): crypto.KeyObject {
  return crypto.createPublicKey({ key: Buffer.concat([SPKI_PREFIX, key]), format: 'der', type: 'spki' })
}

// Asked of a key instead of the version: OpenSSL may read such a key where Node cannot yet sign with it, and only a Node
// that can gives it this name.
function hasMlDsa(): boolean {
  try {
    const type: string | undefined = importPublicKey(new Uint8Array(ML_DSA_44_KEY_BYTES)).asymmetricKeyType
    return type === 'ml-dsa-44'
  } catch {
    return false
  }
}
