import { concatBytes } from '../bytes/bytes.ts'
import { getUint64, putUint64 } from '../bytes/integer.ts'

/** The bytes behind the key ID in the line of a key that dates what it signs (types 0x04, 0x05, 0x06). */
export interface Timestamped {
  /** 0 to 2^53 - 1: milliseconds for tree heads, seconds for cosignatures. */
  readonly timestamp: number
  readonly signature: Uint8Array
}

const TIMESTAMP_BYTES = 8

/**
 * Splits the bytes behind a key ID into time and signature.
 *
 * @param where begins the error message
 * @throws SteleError `malformed` if they are too short; `out_of_range` for a time above 2^53 - 1
 */
export function parseTimestamped(bytes: Uint8Array, where: string): Timestamped {
  return { timestamp: getUint64(bytes, 0, where), signature: bytes.subarray(TIMESTAMP_BYTES) }
}

/** Inverse of {@link parseTimestamped}. */
export function formatTimestamped({ timestamp, signature }: Timestamped): Uint8Array {
  const time = new Uint8Array(TIMESTAMP_BYTES)
  putUint64(time, 0, timestamp)
  return concatBytes(time, signature)
}
