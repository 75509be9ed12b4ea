import type { Hash } from '../merkle/hash.ts'

/*
 * The same text as bytes/hex.ts and bytes/base64.ts write, by the platform: a proof has twenty hashes and a page a
 * thousand entries, and the portable loops would cost more than everything else that is done for them.
 */

/** Lower-case hex. */
export function hexOf(bytes: Uint8Array): string {
  return viewOf(bytes).toString('hex')
}

/** Standard base64 with padding. */
export function base64Of(bytes: Uint8Array): string {
  return viewOf(bytes).toString('base64')
}

/** A proof's path for native JSON. */
export function hexPath(path: readonly Hash[]): string[] {
  return path.map(hexOf)
}

/** A proof's path for the JSON of RFC 6962; an empty path is `[]`, never `null`. */
export function base64Path(path: readonly Hash[]): string[] {
  return path.map(base64Of)
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}
