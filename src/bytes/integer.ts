import { invariant, SteleError } from '../errors.ts'

/** Writes 0 to 2^16 - 1 as two big-endian bytes. */
export function putUint16(bytes: Uint8Array, offset: number, n: number): void {
  put(bytes, offset, n, 2)
}

/** Writes 0 to 2^24 - 1 as three big-endian bytes (RFC 8446 section 3.3, vectors of up to 2^24-1 bytes). */
export function putUint24(bytes: Uint8Array, offset: number, n: number): void {
  put(bytes, offset, n, 3)
}

/** Writes 0 to 2^32 - 1 as four big-endian bytes. */
export function putUint32(bytes: Uint8Array, offset: number, n: number): void {
  put(bytes, offset, n, 4)
}

/** Writes 0 to 2^53 - 1 as eight big-endian bytes. */
export function putUint64(bytes: Uint8Array, offset: number, n: number): void {
  put(bytes, offset, n, 8)
}

/** Reads two big-endian bytes. @throws SteleError `malformed` past the end */
export function getUint16(bytes: Uint8Array, offset: number, what: string): number {
  return get(bytes, offset, 2, what)
}

/** Reads three big-endian bytes. @throws SteleError `malformed` past the end */
export function getUint24(bytes: Uint8Array, offset: number, what: string): number {
  return get(bytes, offset, 3, what)
}

/** Reads four big-endian bytes. @throws SteleError `malformed` past the end */
export function getUint32(bytes: Uint8Array, offset: number, what: string): number {
  return get(bytes, offset, 4, what)
}

/**
 * Reads eight big-endian bytes.
 *
 * @returns 0 to 2^53 - 1
 * @throws SteleError `malformed` past the end; `out_of_range` for values that a number cannot hold exactly
 */
export function getUint64(bytes: Uint8Array, offset: number, what: string): number {
  const high = get(bytes, offset, 4, what)
  const low = get(bytes, offset + 4, 4, what)
  // 2^21 * 2^32 = 2^53. Judged before the sum, which could round back into the safe range.
  if (high >= 2 ** 21) throw new SteleError('out_of_range', `${what}: expected at most 2^53-1`)
  return high * 2 ** 32 + low
}

// Arithmetic instead of shifts: a shift would cut the value to 32 bits.
function put(bytes: Uint8Array, offset: number, n: number, width: number): void {
  invariant(Number.isSafeInteger(n) && n >= 0 && n < 256 ** width, `${n} does not fit in ${width} bytes`)
  invariant(offset >= 0 && offset + width <= bytes.length, `no room for ${width} bytes at ${offset}`)
  let rest = n
  for (let i = offset + width - 1; i >= offset; i--) {
    bytes[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

function get(bytes: Uint8Array, offset: number, width: number, what: string): number {
  if (offset + width > bytes.length) {
    throw new SteleError(
      'malformed',
      `${what}: expected ${width} bytes at ${offset}, got ${bytes.length} in all`,
    )
  }
  let n = 0
  for (let i = offset; i < offset + width; i++) n = n * 256 + bytes[i]!
  return n
}
