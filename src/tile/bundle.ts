import { putUint16 } from '../bytes/integer.ts'
import { SteleError } from '../errors.ts'

/** The longest entry that a bundle can hold: its length is a uint16. */
export const MAX_ENTRY_BYTES = 65_535

/**
 * Entries as an entry bundle: uint16 length and bytes, one after the other (c2sp.org/tlog-tiles).
 *
 * @throws SteleError `too_large` for an entry above 65,535 bytes
 */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const bundle = new Uint8Array(entries.reduce((sum, entry) => sum + 2 + entry.length, 0))
  let at = 0
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) {
      throw new SteleError(
        'too_large',
        `entry: expected at most ${MAX_ENTRY_BYTES} bytes, got ${entry.length}`,
      )
    }
    putUint16(bundle, at, entry.length)
    bundle.set(entry, at + 2)
    at += 2 + entry.length
  }
  return bundle
}

/**
 * The entries of a bundle, as views of its bytes.
 *
 * @param expected how many there must be; any number if left out
 * @throws SteleError `malformed`
 */
export function decodeBundle(bundle: Uint8Array, expected?: number): Uint8Array[] {
  const entries: Uint8Array[] = []
  for (let at = 0; at < bundle.length;) {
    const begin = at + 2
    const length = begin <= bundle.length ? bundle[at]! * 256 + bundle[at + 1]! : 0
    if (begin + length > bundle.length) {
      throw new SteleError('malformed', `entry bundle: cut short within entry ${entries.length}`)
    }
    entries.push(bundle.subarray(begin, begin + length))
    at = begin + length
  }
  if (expected !== undefined && entries.length !== expected) {
    throw new SteleError('malformed', `entry bundle: expected ${expected} entries, got ${entries.length}`)
  }
  return entries
}
