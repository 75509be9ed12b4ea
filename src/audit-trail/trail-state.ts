import * as z from 'zod'
import {
  ALL_LOGS,
  type Configuration,
  logPartsOf,
  type Parts,
  summaryOf,
  withParts,
} from '../instance/configuration.ts'
import type { Log } from '../log/log.ts'

/** The full state is recorded again after this many pages. */
export const REMINDER_PAGES = 256
/** Pages that are read at once. */
const STEP = 32
/** The farthest that a full record may be: twice the interval, to allow for pages that were in progress. */
const FARTHEST = 2 * REMINDER_PAGES
/** Bytes of the lists in one line; a line has at most 60,000. */
export const LIST_BYTES = 24_000

/** Parts of the configuration that belong to logs, in as many lines as needed, before the line with their hash. */
interface HashesLine {
  readonly kind: 'hashes'
  /** The part `all logs` of their configuration. */
  readonly of: string
  /** From 1. */
  readonly part: number
  readonly parts: number
  readonly hashes: Configuration
}

/** Accounts of logs that do not fit in the line that follows. */
interface SizesLine {
  readonly kind: 'sizes'
  readonly logs: readonly LogAccount[]
}

/** The recorded state of a server, as far as its next start needs it. */
export interface TrailState {
  readonly configuration: Configuration
  /** True if an earlier version recorded it; then one hash may stand for many logs. */
  readonly isEarlier: boolean
  readonly accounts: TrailAccounts
}

/**
 * The lines that record the full state, in the order of writing: the parts of logs, the accounts that do not fit in the
 * last line, and the last line.
 *
 * @param last line, which gets the summary of the configuration and the first of the accounts
 * @param accounts undefined: no accounts are recorded
 */
export function stateLines<L extends object>(
  last: L,
  configuration: Configuration,
  accounts: readonly LogAccount[] | undefined,
): (HashesLine | SizesLine | (L & { configuration: Configuration; logs?: readonly LogAccount[] }))[] {
  const summary = summaryOf(configuration)
  const [logs, ...more] = accounts ? chunksOf(accounts) : []
  return [
    ...hashesLines(configuration, summary[ALL_LOGS]!),
    ...more.map((chunk) => ({ kind: 'sizes', logs: chunk }) as const),
    { ...last, configuration: summary, ...(accounts ? { logs: logs ?? [] } : {}) },
  ]
}

function hashesLines(configuration: Configuration, of: string): HashesLine[] {
  const chunks = chunksOf(Object.entries(logPartsOf(configuration)))
  return chunks.map((chunk, i) => ({
    kind: 'hashes',
    of,
    part: i + 1,
    parts: chunks.length,
    hashes: Object.fromEntries(chunk),
  }))
}

/** Splits a list into runs that each fit in a line. */
function chunksOf<T>(items: readonly T[]): T[][] {
  const chunks: T[][] = []
  let bytes = Infinity
  for (const item of items) {
    const own = Buffer.byteLength(JSON.stringify(item)) + 1
    if (bytes + own > LIST_BYTES) {
      chunks.push([])
      bytes = 0
    }
    chunks.at(-1)!.push(item)
    bytes += own
  }
  return chunks
}

const range = z.tuple([z.number(), z.number()])
const storedAccount = z.object({
  log: z.string(),
  size: z.number().optional(),
  accounted: z.number().optional(),
  gaps: z.array(range).optional(),
  earlier: z.number().optional(),
})
const hashes = z.record(z.string(), z.string())

/** The fields that matter here, for lines of any kind. */
const lineSchema = z.object({
  kind: z.string(),
  configuration: hashes.optional(),
  parts: z.union([z.number(), z.record(z.string(), z.string().nullable())]).optional(),
  logs: z.array(storedAccount).optional(),
  of: z.string().optional(),
  part: z.number().optional(),
  hashes: hashes.optional(),
  log: z.string().optional(),
  index: z.number().optional(),
  entries: z.number().optional(),
})
type StateLine = z.output<typeof lineSchema>

const MARKS = ['"configuration"', '"hashes"', '"sizes"', '"entries"']

/**
 * The newest state that a meta log has recorded, published or not; undefined if it has recorded none yet. Reads back
 * from the end to the last full record, and then applies the changes after it.
 */
export async function readTrailState(log: Log): Promise<TrailState | undefined> {
  const { size } = log.integrated
  const reading = new BackwardReading()
  for (let end = size; end > 0 && !reading.isDone; end -= STEP) {
    if (size - end >= FARTHEST && !reading.isUnderWay) break
    const pages = await log.readIntegrated(Math.max(0, end - STEP), end)
    for (const page of pages.reverse()) {
      const lines = new TextDecoder().decode(page).split('\n')
      for (const line of lines.reverse()) {
        if (!reading.isDone && MARKS.some((mark) => line.includes(mark))) reading.take(line)
      }
    }
  }
  return reading.state
}

/** Takes the lines of a trail, newest first, until they give the full state. */
class BackwardReading {
  /** The newest summary. */
  #summary: Configuration | undefined
  /** The `of` of the parts of logs that precede the newest full record. */
  #of: string | undefined
  #hashes: Record<string, string> = {}
  #configuration: Configuration | undefined
  #isEarlier = false
  /** Changes after the full record, newest first. */
  readonly #changes: Parts[] = []
  readonly #placed: Placed[] = []
  #accounts: LogAccount[] | undefined
  /** True while lines of sizes belong to the accounts. */
  #moreAccounts = false

  get isDone(): boolean {
    return (
      this.#configuration !== undefined &&
      (this.#isEarlier || (this.#accounts !== undefined && !this.#moreAccounts))
    )
  }

  /** True after some of the lines with its parts, whose rest directly precedes them. */
  get isUnderWay(): boolean {
    return this.#of !== undefined && this.#configuration === undefined
  }

  get state(): TrailState | undefined {
    if (!this.#configuration) return undefined
    const accounts = new TrailAccounts(this.#accounts)
    for (const placed of this.#placed.toReversed()) accounts.cover(placed)
    const changed = this.#changes.toReversed().reduce<Configuration>(withParts, this.#configuration)
    const { [ALL_LOGS]: _, ...own } = this.#summary ?? {}
    return {
      configuration: { ...own, ...(this.#isEarlier ? changed : logPartsOf(changed)) },
      isEarlier: this.#isEarlier,
      accounts,
    }
  }

  take(text: string): void {
    const { success, data: line } = lineSchema.safeParse(JSON.parse(text))
    if (!success) return
    if (line.kind === 'hashes') this.#takeHashes(line)
    else if (line.kind === 'sizes') this.#takeSizes(line)
    else if (line.configuration) this.#takeConfiguration(line, line.configuration)
    this.#takePlaced(line)
  }

  #takeConfiguration(line: StateLine, configuration: Configuration): void {
    this.#moreAccounts = false
    if (configuration[ALL_LOGS] === undefined) {
      if (this.#configuration) return
      this.#configuration = configuration
      this.#isEarlier = true
      return
    }
    this.#summary ??= configuration
    if (line.kind === 'admin') return this.#takeChange(line)
    this.#of ??= this.#configuration ? undefined : configuration[ALL_LOGS]
    if (!this.#configuration && this.#of === NO_LOGS) this.#configuration = {}
    if (this.#accounts || !line.logs) return
    this.#accounts = [...line.logs]
    this.#moreAccounts = true
  }

  /** An act without its parts is followed by lines with all parts. */
  #takeChange({ parts }: StateLine): void {
    if (this.#of !== undefined || typeof parts !== 'object') return
    this.#changes.push(
      Object.fromEntries(Object.entries(parts).map(([name, hash]) => [name, hash ?? undefined])),
    )
  }

  #takeHashes({ of, part, hashes: found = {} }: StateLine): void {
    this.#moreAccounts = false
    if (this.#configuration || of !== this.#of) return
    this.#hashes = { ...found, ...this.#hashes }
    if (part === 1) this.#configuration = this.#hashes
  }

  #takeSizes({ logs = [] }: StateLine): void {
    if (this.#moreAccounts) this.#accounts!.unshift(...logs)
  }

  #takePlaced({ log, index, entries }: StateLine): void {
    if (this.#accounts || log === undefined || index === undefined || entries === undefined) return
    this.#placed.push({ log, index, entries })
  }
}

const NO_LOGS = summaryOf({})[ALL_LOGS]

/** Entries that a line of the trail accounts for: which log, the index of the first, and how many. */
export interface Placed {
  readonly log: string
  readonly index: number
  readonly entries: number
}

/** The entries of a log that the trail has lines for. */
export interface LogAccount {
  readonly log: string
  /** Number of entries of the log, if it was looked up. */
  readonly size?: number | undefined
  /** Entries below this index have lines, except for the gaps. Absent for a log without lines. */
  readonly accounted?: number | undefined
  /** Ranges [begin, end) below `accounted` without lines, oldest first, the newest 100. */
  readonly gaps?: readonly (readonly [begin: number, end: number])[] | undefined
  /** Entries in older gaps. */
  readonly earlier?: number | undefined
}

const MOST_GAPS = 100

interface Account {
  accounted: number
  gaps: (readonly [number, number])[]
  earlier: number
}

/**
 * The entries that lines of the trail account for, by log. Lines may be written in another order than entries: a gap
 * opens when a later entry gets its line first, and closes with the missing line. A gap that stays open is an entry
 * without a line.
 */
export class TrailAccounts {
  readonly #accounts = new Map<string, Account>()

  /** @param known the result of {@link list} */
  constructor(known: readonly LogAccount[] = []) {
    for (const { log, size, accounted, gaps = [], earlier = 0 } of known) {
      // Earlier entries were reported at an earlier start.
      if (size !== undefined) this.begin(log, size)
      else if (accounted !== undefined) this.#accounts.set(log, { accounted, gaps: [...gaps], earlier })
    }
  }

  /** Starts the account of a log: all entries below a size count as accounted for. */
  begin(log: string, size: number): void {
    this.#accounts.set(log, { accounted: size, gaps: [], earlier: 0 })
  }

  /** Accounts for the entries of a line. The account of an unknown log starts with the first of them. */
  cover({ log, index, entries }: Placed): void {
    const account = this.#accounts.get(log)
    const end = index + entries
    if (!account) return this.begin(log, end)
    if (index === account.accounted) {
      account.accounted = end
    } else if (index > account.accounted) {
      account.gaps.push([account.accounted, index])
      account.accounted = end
      if (account.gaps.length > MOST_GAPS) forgetOldest(account)
    } else {
      account.gaps = account.gaps.flatMap((gap) => without(gap, index, end))
    }
  }

  /** The account of a log. */
  of(log: string): Omit<LogAccount, 'log' | 'size'> {
    const account = this.#accounts.get(log)
    if (!account) return {}
    const { accounted, gaps, earlier } = account
    return { accounted, ...(gaps.length > 0 ? { gaps: [...gaps] } : {}), ...(earlier > 0 ? { earlier } : {}) }
  }

  /** All accounts, sorted. */
  list(): LogAccount[] {
    return [...this.#accounts.keys()].sort().map((log) => ({ log, ...this.of(log) }))
  }
}

/** Ranges of entries without a line: the known gaps, and the entries after the last line. */
export function unaccounted({ size, accounted, gaps = [] }: LogAccount): (readonly [number, number])[] {
  const behind =
    size !== undefined && accounted !== undefined && accounted < size ? [[accounted, size] as const] : []
  return [...gaps, ...behind]
}

function forgetOldest(account: Account): void {
  const [begin, end] = account.gaps.shift()!
  account.earlier += end - begin
}

/** The rest of a gap without a range. */
function without([begin, end]: readonly [number, number], from: number, to: number): [number, number][] {
  if (to <= begin || from >= end) return [[begin, end]]
  const left: [number, number][] = []
  if (begin < from) left.push([begin, from])
  if (to < end) left.push([to, end])
  return left
}
