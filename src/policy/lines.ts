import { SteleError } from '../errors.ts'
import { decodeItem } from './octets.ts'
import { MAX_POLICY_BYTES } from './policy.ts'

/** A line of a policy that says something: neither empty nor a comment. */
export interface PolicyLine {
  /** From 1, for messages. */
  readonly number: number
  readonly keyword: string
  /** What follows the keyword. */
  readonly items: readonly string[]
}

const TAB = 0x09
const LF = 0x0a
const SPACE = 0x20
const HASH = 0x23
const DEL = 0x7f

/**
 * Cuts a policy into lines and items, one at a time, so that the first fault to be found is the first in the file.
 *
 * @throws SteleError `malformed` for an octet that has no place in a policy, and a last line without its LF; `too_large`
 */
export function* splitPolicy(octets: Uint8Array): Generator<PolicyLine> {
  if (octets.length > MAX_POLICY_BYTES) {
    throw new SteleError(
      'too_large',
      `policy: expected at most ${MAX_POLICY_BYTES} bytes, got ${octets.length}`,
    )
  }
  let begin = 0
  for (let number = 1; begin < octets.length; number++) {
    const end = octets.indexOf(LF, begin)
    if (end < 0) throw faultAt(number, 'expected a line feed at the end, got the end of the file')
    const [keyword, ...items] = itemsOf(octets.subarray(begin, end), number)
    if (keyword !== undefined) yield { number, keyword, items }
    begin = end + 1
  }
}

/** A mistake in a policy, with its place. */
export function faultAt(line: number, message: string, cause?: unknown): SteleError {
  return new SteleError('malformed', `policy line ${line}: ${message}`, cause === undefined ? {} : { cause })
}

/** Nothing for a comment: it stands on a line of its own, so that `#` means nothing further on. */
function itemsOf(line: Uint8Array, number: number): string[] {
  const bad = line.find((octet) => (octet < SPACE && octet !== TAB) || octet === DEL)
  if (bad !== undefined) {
    const hint = bad === 0x0d ? ' (lines end in a line feed alone)' : ''
    const got = `0x${bad.toString(16).padStart(2, '0')}${hint}`
    throw faultAt(number, `expected no control character but tab, got ${got}`)
  }
  const items: string[] = []
  for (let at = 0; at < line.length; at++) {
    const begin = at
    while (at < line.length && line[at] !== SPACE && line[at] !== TAB) at++
    if (at > begin && items.length === 0 && line[begin] === HASH) return []
    if (at > begin) items.push(decodeItem(line.subarray(begin, at)))
  }
  return items
}
