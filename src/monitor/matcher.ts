import { type Context, createContext, Script } from 'node:vm'
import { SteleError } from '../errors.ts'

/** What an entry is looked at for; one of the three. */
type Wanted =
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
interface RegexOptions {
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

/** What one run of an expression over some texts came to. */
interface RegexRun {
  /** For each text whether it matches; undefined if the time limit ended the run. */
  readonly found: readonly boolean[] | undefined
  /** Processor time. */
  readonly tookMs: number
}

/** Runs an expression over texts, for `limitMs` of processor time. A test puts one of its own in its place. */
export type RegexRunner = (texts: readonly string[], limitMs: number) => RegexRun

// What an ordinary expression takes for a bundle on a slow machine is free, so that reading a long log is never cut short.
const FREE_MS = 10
const FREE_MS_PER_CHARACTER = 5e-6

/**
 * The time that one expression may cost in one round, beyond what an ordinary one takes. Whoever writes entries may know
 * the expression and choose texts for which it takes long, as many as they like: a limit for each text bounds one of
 * them, this one bounds them together.
 */
export class MatchBudget {
  #leftMs: number

  /** @param ms in milliseconds */
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

/** `slow`: the expression ran into its time limit at this text. `skipped`: its budget was used up before. */
export type RegexVerdict = boolean | 'slow' | 'skipped'

/** A regular expression that cannot hold up the monitor, whatever the texts. */
class GuardedRegex {
  readonly #run: RegexRunner
  readonly #limitMs: number

  /** @param limitMs for one text, or for as many together as take no longer, in milliseconds */
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
      // Each may take the whole limit: in between, other logs get their turn.
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

// On a machine that is this busy, an expression counts as slow after all.
const LONGEST_STALL = 16

/**
 * Runs a regular expression with a time limit: V8 looks for interrupts while it backtracks, so that the limit of a `vm`
 * script ends it. That limit is of the clock on the wall. What counts is the time of the processor: a monitor that had to
 * wait for its turn would else take innocent entries for slow ones, and not look at those behind them.
 *
 * @param regex without the flags g and y, by which one text would change the verdict on the next
 */
function vmRunner(regex: RegExp): RegexRunner {
  const script = new Script('found = texts.map((text) => regex.test(text))')
  // Not for security: the script is ours. A context is what a time limit can be had for.
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

/** Of the whole process: other threads make it more, never less. */
function processorMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
