import { concatBytes } from '../bytes/bytes.ts'
import { getUint16, putUint16 } from '../bytes/integer.ts'
import { SteleError } from '../errors.ts'

/** A signature with its algorithm in front, as RFC 6962 has them (`DigitallySigned`, RFC 5246 section 4.7). */
export interface DigitallySigned {
  readonly algorithm: SignatureAlgorithm
  /** DER for ECDSA, 64 bytes for Ed25519. */
  readonly signature: Uint8Array
}

/** ECDSA is the only one of them that RFC 6962 knows; RFC 9162 admits Ed25519. RSA is not supported. */
export type SignatureAlgorithm = 'ecdsa-sha256' | 'ed25519'

// Hash and signature algorithm, one byte each (RFC 5246 section 7.4.1.4.1, RFC 8422 section 5.1.3).
const CODES: Readonly<Record<SignatureAlgorithm, number>> = { 'ecdsa-sha256': 0x0403, ed25519: 0x0807 }
const HEAD_BYTES = 4

/**
 * Reads a `DigitallySigned`.
 *
 * @throws SteleError `malformed`, also for algorithms that are not supported
 */
export function parseDigitallySigned(bytes: Uint8Array): DigitallySigned {
  const code = getUint16(bytes, 0, 'tree head signature')
  const length = getUint16(bytes, 2, 'tree head signature')
  const signature = bytes.subarray(HEAD_BYTES)
  if (signature.length !== length) {
    throw malformed(`expected a signature of ${length} bytes, got ${signature.length}`)
  }
  if (code === CODES['ecdsa-sha256']) return { algorithm: 'ecdsa-sha256', signature }
  if (code === CODES.ed25519) return { algorithm: 'ed25519', signature }
  throw malformed(`expected the code of ECDSA (0403) or Ed25519 (0807), got ${code.toString(16)}`)
}

/** Inverse of {@link parseDigitallySigned}. */
export function formatDigitallySigned({ algorithm, signature }: DigitallySigned): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES)
  putUint16(head, 0, CODES[algorithm])
  putUint16(head, 2, signature.length)
  return concatBytes(head, signature)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', `tree head signature: ${message}`)
}
