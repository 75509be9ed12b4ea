import { parseSize } from '../bytes/decimal.ts'
import { hasCode, SteleError } from '../errors.ts'

/** A range of indexes on the command line. */
export interface Range {
  readonly begin: number
  /** Exclusive; undefined for no end. */
  readonly end: number | undefined
  /** True for a single index. */
  readonly single: boolean
}

/** Reads `7`, `7..12` (12 exclusive) or `7..`. @throws SteleError `usage` */
export function parseRange(text: string): Range {
  const [begin = '', end, more] = text.split('..')
  if (more !== undefined) throw new SteleError('usage', `expected an index or begin..end, got "${text}"`)
  const from = parseIndex(begin)
  if (end === undefined) return { begin: from, end: from + 1, single: true }
  const to = end === '' ? undefined : parseIndex(end)
  if (to !== undefined && to < from) throw new SteleError('usage', `range ${text}: expected begin <= end`)
  return { begin: from, end: to, single: false }
}

/** Reads an index or a size. @throws SteleError `usage` */
export function parseIndex(text: string): number {
  return asUsage(() => parseSize(text, 'index'))
}

/** Reads a whole number, from 1 to `most`. @throws SteleError `usage` */
export function parseCount(text: string, option: string, most: number): number {
  const count = asUsage(() => parseSize(text, option))
  if (count >= 1 && count <= most) return count
  throw new SteleError('usage', `${option}: expected 1 to ${most}, got ${count}`)
}

/** Runs a parser. An error in an argument is a mistake of the caller, so its code is `usage`. */
export function asUsage<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!hasCode(error, 'malformed', 'out_of_range')) throw error
    throw new SteleError('usage', error.message, { cause: error })
  }
}
