import { type Context, createContext, Script } from 'node:vm'
import { SteleError } from '../errors.ts'

/** What to look for in an entry: one of three. */
type Wanted =
  /** The entry contains these bytes: text in UTF-8. */
  | { readonly contains: string }
  /** The entry, decoded as UTF-8, matches this expression. */
  | { readonly regex: string; readonly flags?: string | undefined }
  /** The entry is JSON, and this field has this value. `a.b.0` is a nested field. */
  | { readonly field: string; readonly equals: string | number | boolean | null }

/** A pattern to look for, and its name. */
export type MatcherSpec = { readonly name?: string | undefined } & Wanted

/** Checks entries against a pattern. */
export interface Matcher {
  readonly name: string
  /**
   * Returns for each entry whether it matches, or why that was not decided. Charges `budget` with time beyond the
   * usual.
   */
  test(entries: readonly Uint8Array[], budget: MatchBudget): Promise<RegexVerdict[]>
}

/** How regular expressions are run. */
interface RegexOptions {
  /** Time limit for one entry, in milliseconds. */
  readonly limitMs?: number
  readonly runner?: (regex: RegExp) => RegexRunner
}

const REGEX_LIMIT_MS = 100

// The flags g and y would carry a position from one text to the next; d only costs time.
const FLAGS = /^(?!.*(.).*\1)[imsuv]*$/

/**
 * Prepares a matcher.
 *
 * @throws SteleError `usage` for an invalid expression or flags, and for an empty text, which every entry contains
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

/** The value at a path of a JSON entry; undefined if there is none. */
function valueAt(entry: Uint8Array, path: readonly string[]): unknown {
  try {
    return path.reduce(step, JSON.parse(asText(entry)) as unknown)
  } catch {
    // Entries may be any bytes; most logs have some that are not JSON.
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

/** Bytes that are not UTF-8 become U+FFFD; the text around them can still match. */
function asText(entry: Uint8Array): string {
  return asBuffer(entry).toString('utf8')
}

function asBuffer(entry: Uint8Array): Buffer {
  return Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength)
}

/** The result of running an expression on some texts. */
interface RegexRun {
  /** Whether each text matches; undefined if the time limit ended the run. */
  readonly found: readonly boolean[] | undefined
  /** Processor time used. */
  readonly tookMs: number
}

/** Runs an expression on texts, with `limitMs` of processor time. A test passes its own. */
export type RegexRunner = (texts: readonly string[], limitMs: number) => RegexRun

// The time that an ordinary expression needs for a bundle on a slow machine is free, so that reading a long log is
// never cut short.
const FREE_MS = 10
const FREE_MS_PER_CHARACTER = 5e-6

/**
 * The time that one expression may use in one round, beyond what an ordinary one needs. A submitter may know the
 * expression, and submit any number of entries that make it slow. A limit per entry bounds each of them; this budget
 * bounds their sum.
 */
export class MatchBudget {
  #leftMs: number

  constructor(ms: number) {
    this.#leftMs = ms
  }

  get isUsedUp(): boolean {
    return this.#leftMs <= 0
  }

  charge(ms: number): void {
    this.#leftMs -= ms
  }
}

/** `slow`: the time limit ended the run on this text. `skipped`: the budget was used up before this text. */
export type RegexVerdict = boolean | 'slow' | 'skipped'

/** A regular expression with bounded time, so that no text can stop the monitor. */
class GuardedRegex {
  readonly #run: RegexRunner
  readonly #limitMs: number

  /** @param limitMs limit for one text, or for several that together stay below it, in milliseconds */
  constructor(run: RegexRunner, limitMs: number) {
    this.#run = run
    this.#limitMs = limitMs
  }

  async test(texts: readonly string[], budget: MatchBudget): Promise<RegexVerdict[]> {
    if (budget.isUsedUp) return texts.map(() => 'skipped')
    const together = this.#charged(texts, budget)
    if (together) return [...together]
    const verdicts: RegexVerdict[] = []
    for (const text of texts) {
      verdicts.push(budget.isUsedUp ? 'skipped' : (this.#charged([text], budget)?.[0] ?? 'slow'))
      // Each text may take the whole limit, so other logs get a turn in between.
      await new Promise((resolve) => setImmediate(resolve))
    }
    return verdicts
  }

  #charged(texts: readonly string[], budget: MatchBudget): readonly boolean[] | undefined {
    const { found, tookMs } = this.#run(texts, this.#limitMs)
    const characters = texts.reduce((sum, { length }) => sum + length, 0)
    budget.charge(Math.max(0, tookMs - FREE_MS - characters * FREE_MS_PER_CHARACTER))
    return found
  }
}

// If the machine is so busy that even this multiple of the limit passes, the expression counts as slow.
const LONGEST_STALL = 16

/**
 * Runs a regular expression with a time limit. V8 checks for interrupts while it backtracks, so the timeout of a `vm`
 * script ends it. That timeout is wall-clock time, but the limit is processor time: otherwise a monitor that waits for
 * the processor would count harmless entries as slow, and skip those after them.
 *
 * @param regex without the flags g and y, with which one text would change the result for the next
 */
function vmRunner(regex: RegExp): RegexRunner {
  const script = new Script('found = texts.map((text) => regex.test(text))')
  // The context is not for security, since the script is ours. Only scripts in a context have a timeout.
  const world: Context & { texts: readonly string[]; found: boolean[] } = Object.assign(
    createContext({ regex }),
    { texts: [], found: [] },
  )
  const once = (timeout: number): boolean[] | undefined => {
    try {
      script.runInContext(world, { timeout })
      return [...world.found]
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      return undefined
    }
  }
  return (texts, limitMs) => {
    world.texts = texts
    let tookMs = 0
    for (let waitMs = limitMs; ; waitMs *= 2) {
      const startedMs = processorMs()
      const found = once(waitMs)
      tookMs += processorMs() - startedMs
      if (found || tookMs >= limitMs || waitMs > limitMs * LONGEST_STALL) return { found, tookMs }
    }
  }
}

/** Processor time of the whole process. Other threads can only increase it. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
