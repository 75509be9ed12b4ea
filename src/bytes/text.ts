import { SteleError } from '../errors.ts'
import { excerpt } from './excerpt.ts'

const encoder = new TextEncoder()
// The defaults would replace bad bytes silently and drop a leading byte order mark, so that two different
// byte strings would read as the same text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The byte order mark that some editors put before a text in UTF-8: no part of it. */
const MARK = [0xef, 0xbb, 0xbf]

/** True for bytes that begin with a byte order mark. */
export function startsWithMark(bytes: Uint8Array): boolean {
  return MARK.every((byte, i) => bytes[i] === byte)
}

/**
 * Text as UTF-8 bytes.
 *
 * @throws SteleError `malformed` for half of a surrogate pair, which UTF-8 cannot express
 */
export function encodeUtf8(text: string): Uint8Array {
  if (/\p{Surrogate}/u.test(text)) {
    throw new SteleError('malformed', `expected well-formed Unicode, got ${excerpt(text)}`)
  }
  return encoder.encode(text)
}

/**
 * UTF-8 bytes as text; encoding it again gives the same bytes.
 *
 * @param what names the value in the error message
 * @throws SteleError `malformed`
 */
export function decodeUtf8(bytes: Uint8Array, what: string): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new SteleError('malformed', `${what}: expected UTF-8`, { cause })
  }
}
