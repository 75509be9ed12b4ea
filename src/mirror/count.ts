import { getUint64, putUint64 } from '../bytes/integer.ts'

/** The record of a mirror's head file: how often a mirror checkpoint of that log was cosigned. */
export function encodeCount(cosigned: number): Uint8Array {
  const bytes = new Uint8Array(8)
  putUint64(bytes, 0, cosigned)
  return bytes
}

/** Inverse of {@link encodeCount}. @throws SteleError `malformed`, `out_of_range` */
export function decodeCount(bytes: Uint8Array, what: string): number {
  return getUint64(bytes, 0, what)
}
