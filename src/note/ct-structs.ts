import { concatBytes } from '../bytes/bytes.ts'
import { getUint16, putUint16, putUint24, putUint64 } from '../bytes/integer.ts'
import { invariant, SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'

/** Structures of RFC 6962 as bytes, for logs whose leaves are those of Certificate Transparency. */

/** What is logged: a certificate, or what will be one. */
type SignedEntry =
  | { readonly kind: 'x509'; readonly certificate: Uint8Array }
  | { readonly kind: 'precert'; readonly issuerKeyHash: Hash; readonly tbsCertificate: Uint8Array }

/** An entry with the time at which the log promised to include it. */
interface TimestampedEntry {
  /** Milliseconds since 1970, 0 to 2^53 - 1. */
  readonly timestampMs: number
  readonly entry: SignedEntry
  /** At most 65535 bytes, usually none. */
  readonly extensions?: Uint8Array
}

const VERSION_1 = 0
const TIMESTAMPED_ENTRY = 0
const ENTRY_TYPE = { x509: 0, precert: 1 } as const
const LEAF_INDEX_EXTENSION = 0

/**
 * `MerkleTreeLeaf` (RFC 6962 section 3.4), the bytes that are hashed as a leaf and served as `leaf_input`. The signature
 * of an SCT (section 3.2) is made over the same bytes: there the two leading zeros read as version and signature type.
 */
export function merkleTreeLeaf({ timestampMs, entry, extensions }: TimestampedEntry): Uint8Array {
  const time = new Uint8Array(8)
  putUint64(time, 0, timestampMs)
  return concatBytes(
    Uint8Array.of(VERSION_1, TIMESTAMPED_ENTRY),
    time,
    uint16(ENTRY_TYPE[entry.kind]),
    ...(entry.kind === 'x509'
      ? [opaque24(entry.certificate)]
      : [entry.issuerKeyHash, opaque24(entry.tbsCertificate)]),
    opaque16(extensions ?? new Uint8Array(0)),
  )
}

/** `extra_data` of a certificate: its chain, issuers only, each as DER (RFC 6962 section 4.6). */
export function certificateChain(chain: readonly Uint8Array[]): Uint8Array {
  return opaque24(concatBytes(...chain.map(opaque24)))
}

/** `extra_data` of a precertificate: itself as submitted, and its chain (RFC 6962 section 4.6). */
export function precertificateChain(precertificate: Uint8Array, chain: readonly Uint8Array[]): Uint8Array {
  return concatBytes(opaque24(precertificate), certificateChain(chain))
}

/**
 * The extension by which an SCT names its leaf (c2sp.org/static-ct-api).
 *
 * @param index 0 to 2^40 - 1
 */
export function leafIndexExtension(index: number): Uint8Array {
  invariant(index < 2 ** 40, `leaf index ${index} does not fit in 5 bytes`)
  const wide = new Uint8Array(8)
  putUint64(wide, 0, index)
  return concatBytes(Uint8Array.of(LEAF_INDEX_EXTENSION), opaque16(wide.subarray(3)))
}

function uint16(n: number): Uint8Array {
  const bytes = new Uint8Array(2)
  putUint16(bytes, 0, n)
  return bytes
}

function opaque16(bytes: Uint8Array): Uint8Array {
  return concatBytes(uint16(bytes.length), bytes)
}

function opaque24(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(3)
  putUint24(length, 0, bytes.length)
  return concatBytes(length, bytes)
}

/** A signature with its algorithm in front, as RFC 6962 has them (`DigitallySigned`, RFC 5246 section 4.7). */
interface DigitallySigned {
  readonly algorithm: SignatureAlgorithm
  /** DER for ECDSA, 64 bytes for Ed25519. */
  readonly signature: Uint8Array
}

/** ECDSA is the only one of them that RFC 6962 knows; RFC 9162 admits Ed25519. RSA is not supported. */
type SignatureAlgorithm = 'ecdsa-sha256' | 'ed25519'

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
