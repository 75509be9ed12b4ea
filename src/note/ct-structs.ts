/** Structures of RFC 6962 as bytes, for logs whose leaves are those of Certificate Transparency. */
import { concatBytes } from '../bytes/bytes.ts'
import { putUint16, putUint24, putUint64 } from '../bytes/integer.ts'
import { invariant } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'

/** What is logged: a certificate, or what will be one. */
export type SignedEntry =
  | { readonly kind: 'x509'; readonly certificate: Uint8Array }
  | { readonly kind: 'precert'; readonly issuerKeyHash: Hash; readonly tbsCertificate: Uint8Array }

/** An entry with the time at which the log promised to include it. */
export interface TimestampedEntry {
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
