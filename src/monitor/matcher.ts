import { SteleError } from '../errors.ts'
import {
  GuardedRegex,
  vmRunner,
  type MatchBudget,
  type RegexRunner,
  type RegexVerdict,
} from './regex-guard.ts'

/** What an entry is looked at for; one of the three. */
export type Wanted =
  /** The entry holds these bytes somewhere: text in UTF-8. */
  | { readonly contains: string }
  /** The entry, read as UTF-8, matches. */
  | { readonly regex: string; readonly flags?: string | undefined }
  /** The entry is JSON, and this field of it, `a.b.0` for one further down, has this value. */
  | { readonly field: string; readonly equals: string | number | boolean | null }

/** One thing to look for, and what to call it. */
export type MatcherSpec = { readonly name?: string | undefined } & Wanted

/** Looks at entries. */
export interface Matcher {
  readonly name: string
  /** For each entry whether it matches, or why that was not found out. Charges `budget` with what takes long. */
  test(entries: readonly Uint8Array[], budget: MatchBudget): Promise<RegexVerdict[]>
}

/** How regular expressions are run. */
export interface RegexOptions {
  /** Longest time for one entry, in milliseconds. */
  readonly limitMs?: number
  readonly runner?: (regex: RegExp) => RegexRunner
}

const REGEX_LIMIT_MS = 100

// g and y keep a position from one text to the next; d only costs time.
const FLAGS = /^(?!.*(.).*\1)[imsuv]*$/

/**
 * Prepares a matcher.
 *
 * @throws SteleError `usage` for an expression or flags that are none, and for an empty text, which is in every entry
 */
export function createMatcher(spec: MatcherSpec, options: RegexOptions = {}): Matcher {
  const { limitMs = REGEX_LIMIT_MS, runner = vmRunner } = options
  if ('contains' in spec) return containing(spec.name ?? `contains ${spec.contains}`, spec.contains)
  if ('field' in spec) return havingField(spec.name ?? `${spec.field} = ${String(spec.equals)}`, spec)
  const guarded = new GuardedRegex(runner(parseRegex(spec.regex, spec.flags)), limitMs)
  return {
    name: spec.name ?? `/${spec.regex}/${spec.flags ?? ''}`,
    test: (entries, budget) => guarded.test(entries.map(asText), budget),
  }
}

function containing(name: string, text: string): Matcher {
  if (text === '') throw new SteleError('usage', 'matcher: expected a text to look for, got an empty one')
  const bytes = Buffer.from(text)
  return { name, test: async (entries) => entries.map((entry) => asBuffer(entry).includes(bytes)) }
}

function havingField(
  name: string,
  { field, equals }: { readonly field: string; readonly equals: unknown },
): Matcher {
  const path = field.split('.')
  if (path.includes(''))
    throw new SteleError('usage', `matcher: expected a field such as a.b.0, got "${field}"`)
  return { name, test: async (entries) => entries.map((entry) => valueAt(entry, path) === equals) }
}

/** What stands at a place in an entry that is JSON; undefined, which is no JSON value, if there is nothing. */
function valueAt(entry: Uint8Array, path: readonly string[]): unknown {
  try {
    return path.reduce(step, JSON.parse(asText(entry)) as unknown)
  } catch {
    // Entries are anything at all; most logs hold some that are not JSON.
    return undefined
  }
}

/** Own fields only: every object inherits a "constructor". */
function step(value: unknown, name: string): unknown {
  const isObject = typeof value === 'object' && value !== null
  return isObject && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
}

function parseRegex(source: string, flags = ''): RegExp {
  try {
    if (FLAGS.test(flags)) return new RegExp(source, flags)
  } catch (error) {
    throw new SteleError('usage', `matcher: ${(error as Error).message}`, { cause: error })
  }
  throw new SteleError('usage', `matcher /${source}/: expected flags among i, m, s, u and v, got "${flags}"`)
}

/** Bytes that are not UTF-8 become U+FFFD: what is around them can still match. */
function asText(entry: Uint8Array): string {
  return asBuffer(entry).toString('utf8')
}

function asBuffer(entry: Uint8Array): Buffer {
  return Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength)
}
