import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import { ML_DSA_44_KEY_BYTES, ML_DSA_44_SIGNATURE_BYTES } from './mldsa44-sizes.ts'

/** The public key of a 32-byte seed (FIPS 204, ML-DSA.KeyGen_internal). */
export function publicKey(seed: Uint8Array): Uint8Array {
  return ml_dsa44.keygen(seed).publicKey
}

/**
 * Prepares a 32-byte seed for many signatures: pure ML-DSA with an empty context. Signing is hedged with fresh
 * randomness, so the same message gives other bytes each time.
 */
export function signerOf(seed: Uint8Array): (message: Uint8Array) => Uint8Array {
  const { secretKey } = ml_dsa44.keygen(seed)
  return (message) => ml_dsa44.sign(message, secretKey)
}

/**
 * Prepares a public key for many verifications: pure ML-DSA with an empty context.
 *
 * @returns a function that never throws; for bytes of the wrong length it answers false
 */
export function verifierOf(key: Uint8Array): (message: Uint8Array, signature: Uint8Array) => boolean {
  if (key.length !== ML_DSA_44_KEY_BYTES) return () => false
  const own = key.slice()
  return (message, signature) =>
    signature.length === ML_DSA_44_SIGNATURE_BYTES && ml_dsa44.verify(signature, message, own)
}
