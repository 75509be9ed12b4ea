import { SteleError } from '../errors.ts'
import { excerpt } from './excerpt.ts'

// RFC 4648 section 4. The platform's decoders are lenient in different ways (url alphabet, white space,
// missing padding, left-over bits), and a lenient decoder gives one signature line many spellings.
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const CODES = Uint8Array.from(ALPHABET, (char) => char.charCodeAt(0))
const PAD = '='.charCodeAt(0)
const NOT_IN_ALPHABET = 64
const VALUES = new Uint8Array(256).fill(NOT_IN_ALPHABET)
CODES.forEach((code, value) => (VALUES[code] = value))

const ascii = new TextDecoder()

/** Standard base64 with padding. */
export function toBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4)
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const bits = (bytes[from]! << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0)
    out[to] = CODES[bits >> 18]!
    out[to + 1] = CODES[(bits >> 12) & 63]!
    out[to + 2] = CODES[(bits >> 6) & 63]!
    out[to + 3] = CODES[bits & 63]!
  }
  const rest = bytes.length % 3
  if (rest !== 0) out.fill(PAD, out.length - (3 - rest))
  return ascii.decode(out)
}

/**
 * Reads standard base64 with padding, and only the one spelling that {@link toBase64} writes: no white space,
 * no url alphabet, no bits left over in the last character.
 *
 * @param what names the value in the error message
 * @throws SteleError `malformed`
 */
export function parseBase64(text: string, what: string): Uint8Array {
  const bytes = decode(text)
  if (bytes === undefined) {
    throw new SteleError('malformed', `${what}: expected base64 with padding, got ${excerpt(text)}`)
  }
  return bytes
}

function decode(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  let bits = 0
  let length = 0
  for (let i = 0; i < digits; i++) {
    const value = VALUES[text.charCodeAt(i)] ?? NOT_IN_ALPHABET
    if (value === NOT_IN_ALPHABET) return undefined
    bits = ((bits << 6) | value) & 0xffffff
    // The first character of a group completes no byte, each of the other three completes one.
    const phase = i % 4
    if (phase !== 0) bytes[length++] = bits >> (6 - 2 * phase)
  }
  // With one "=" the last character has 2 bits to spare, with two it has 4: all must be zero.
  return (bits & ((1 << (2 * padding)) - 1)) === 0 ? bytes : undefined
}
