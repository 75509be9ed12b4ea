import { SteleError } from '../errors.ts'
import { excerpt } from './excerpt.ts'

/**
 * Reads a tree size or leaf index in ASCII decimal (c2sp.org/tlog-checkpoint).
 *
 * @param what names the value in the error message
 * @returns 0 to 2^53 - 1
 * @throws SteleError `malformed` for signs, spaces, leading zeroes; `out_of_range` for values that a number
 *   cannot hold exactly
 */
export function parseSize(text: string, what: string): number {
  if (!/^(?:0|[1-9][0-9]*)$/.test(text)) {
    throw new SteleError('malformed', `${what}: expected a decimal number, got ${excerpt(text)}`)
  }
  const value = Number(text)
  if (!Number.isSafeInteger(value)) {
    throw new SteleError('out_of_range', `${what}: expected at most 2^53-1, got ${excerpt(text)}`)
  }
  return value
}
