import { concatBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { putUint64 } from '../bytes/integer.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import { isSubtree } from '../merkle/range.ts'

/** A part of one log's tree and its hash: what an ML-DSA-44 cosignature is about. A checkpoint is `[0, size)`. */
export interface Subtree {
  /** The log's, 1 to {@link MAX_NAME_BYTES} bytes. */
  readonly origin: string
  /** First leaf, 0 to 2^53 - 1. */
  readonly start: number
  /** One past the last leaf, up to 2^53 - 1. */
  readonly end: number
  readonly hash: Hash
}

/** Most bytes in the name of an ML-DSA-44 cosigner, and in an origin that it signs for: one byte holds the length. */
export const MAX_NAME_BYTES = 255

const LABEL = encodeUtf8('subtree/v1\n\0')

/**
 * The bytes that an ML-DSA-44 cosignature is made over (`cosigned_message`, c2sp.org/tlog-cosignature). Extension lines
 * of a checkpoint are not among them.
 *
 * @param cosigner name of the key
 * @param timestamp seconds since 1970; 0 states nothing about the largest tree seen
 * @throws SteleError `malformed` for an origin that does not fit
 */
export function subtreeMessage(cosigner: string, timestamp: bigint | number, subtree: Subtree): Uint8Array {
  const time = new Uint8Array(8)
  new DataView(time.buffer).setBigUint64(0, BigInt(timestamp))
  const range = new Uint8Array(16)
  putUint64(range, 0, subtree.start)
  putUint64(range, 8, subtree.end)
  return concatBytes(
    LABEL,
    lengthPrefixed(cosigner, 'cosigner name'),
    time,
    lengthPrefixed(subtree.origin, 'origin'),
    range,
    subtree.hash,
  )
}

/**
 * Refuses a range that is no subtree of any tree.
 *
 * @throws SteleError `out_of_range`
 */
export function checkSubtree({ start, end }: Subtree): void {
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || !isSubtree(start, end)) {
    throw new SteleError('out_of_range', `[${start}, ${end}) is no subtree`)
  }
}

function lengthPrefixed(text: string, what: string): Uint8Array {
  const bytes = encodeUtf8(text)
  if (bytes.length < 1 || bytes.length > MAX_NAME_BYTES) {
    throw new SteleError(
      'malformed',
      `${what}: expected 1 to ${MAX_NAME_BYTES} bytes, got ${bytes.length} in ${excerpt(text)}`,
    )
  }
  return concatBytes(Uint8Array.of(bytes.length), bytes)
}
