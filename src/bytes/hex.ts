import { SteleError } from '../errors.ts'
import { excerpt } from './excerpt.ts'

const PAIRS = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Lower-case hex, two digits per byte. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += PAIRS[byte]!
  return text
}

/**
 * Reads lower-case hex; upper case is refused, so that one value has one spelling.
 *
 * @param what names the value in the error message
 * @throws SteleError `malformed`
 */
export function parseHex(text: string, what: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) {
    throw new SteleError('malformed', `${what}: expected lower-case hex, got ${excerpt(text)}`)
  }
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}
