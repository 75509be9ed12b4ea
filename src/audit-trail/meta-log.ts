import { SteleError } from '../errors.ts'
import type { Exchange, Trail } from '../http/trail.ts'
import type { TrailStatus } from '../http/metrics/metrics.ts'
import { type Configuration, logPartsOf, partsBetween, summaryOf } from '../instance/configuration.ts'
import type { Log } from '../log/log.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import { DeniedTally } from './denied-tally.ts'
import { type AdminLine, deniedLine, type MetaLine, RequestLines, type StartLine } from './meta-line.ts'
import {
  LIST_BYTES,
  type LogAccount,
  type Placed,
  REMINDER_PAGES,
  stateLines,
  TrailAccounts,
  type TrailState,
} from './trail-state.ts'

/** Lines that may wait to be written. When there are more, requests are refused. */
const MOST_WAITING = 50_000
/** Bytes of one line. An entry holds 65,535; the record of a start, with its additions, must fit as well. */
const MOST_LINE_BYTES = 60_000

/** The log that a meta log writes to, while it is open. */
export interface MetaTarget {
  readonly log: Log | undefined
}

/**
 * The audit trail: a Stele log like any other, whose entries are pages of JSON lines. Owner of the waiting lines. While
 * one page is written to disk the next lines gather, so that a thousand requests a second cost a few entries.
 */
export class MetaLog implements Trail {
  readonly #target: MetaTarget
  readonly #nowMs: () => number
  readonly #denied: DeniedTally
  readonly #requests = new RequestLines()
  /** Waiting batches, oldest first. New lines go into the last one. */
  readonly #rounds: MetaRound[] = []
  #linesWaiting = 0
  /** The configuration that was recorded last, and how many pages ago all of it was recorded. */
  #configuration: Configuration | undefined
  #pagesSince = 0
  /** The entries of logs that lines on disk account for. */
  #accounts: TrailAccounts
  /** Timestamp of the last line. */
  #at = { ms: NaN, text: '' }
  #linesWritten = 0
  #failed = 0
  #writing: Promise<void> | undefined
  #lastChange: Promise<void> = Promise.resolve()
  /** The server is stopping and has recorded that. No line may follow. */
  #closed = false
  /** Why no request may be recorded yet. */
  #held: string | undefined
  /** The write in progress. */
  #onItsWay: Promise<void> | undefined
  /** Set while its log is closed for a change: lines wait until this resolves. */
  #paused: Promise<void> | undefined

  /** @param recorded the state that the log has recorded last */
  constructor(target: MetaTarget, nowMs: () => number, recorded?: Recorded) {
    this.#configuration = recorded?.configuration
    this.#accounts = recorded?.accounts ?? new TrailAccounts()
    // The full record may be far back in the log, so the first page repeats it.
    this.#pagesSince = REMINDER_PAGES
    this.#target = target
    this.#nowMs = nowMs
    this.#denied = new DeniedTally(nowMs, (line) => this.write(line))
  }

  get status(): TrailStatus {
    return { waiting: this.#linesWaiting, written: this.#linesWritten, failed: this.#failed }
  }

  /** The configuration that was recorded last. */
  get configuration(): Configuration | undefined {
    return this.#configuration
  }

  /** Sets the state that the log has recorded last, if it could not be read at construction. */
  recall({ configuration, accounts }: Recorded): void {
    this.#configuration = configuration
    this.#accounts = accounts
  }

  /** The accounts of logs of these sizes, and of other logs that lines have mentioned. */
  accountsFor(sizes: NonNullable<StartLine['sizes']>): LogAccount[] {
    const open = new Set(sizes.map(({ log }) => log))
    const others = this.#accounts.list().filter(({ log }) => !open.has(log))
    return [...sizes.map(({ log, size }) => ({ log, size, ...this.#accounts.of(log) })), ...others]
  }

  /** Refuses requests until something else has been written. @param reason undefined: accept requests again */
  hold(reason: string | undefined): void {
    this.#held = reason
  }

  check(): void {
    if (this.#closed) throw untraceable('the server is stopping')
    if (this.#held !== undefined) throw untraceable(this.#held)
    const { log } = this.#target
    if (!this.#paused && (!log || log.failure)) throw untraceable(log?.failure?.message ?? 'it is not open')
    if (this.#linesWaiting >= MOST_WAITING) throw untraceable(`${MOST_WAITING} lines are waiting already`)
  }

  record(exchange: Exchange): Promise<void> {
    // Refusals that are only counted are checked too: a count that cannot be written is no record.
    this.check()
    const { caller, denied } = exchange
    if (denied || !caller) return this.#denied.count(deniedLine(exchange))
    return this.#join([this.#written(this.#requests.textOf(exchange, caller), placedBy(exchange))])
  }

  /**
   * Writes a line.
   *
   * @returns once it is on disk, and a signed head of the meta log covers it
   * @throws SteleError `untraceable`; `too_large` for a change that does not fit in a line
   */
  async write(line: MetaLine): Promise<void> {
    const lines = this.#linesOf(line)
    const { bytes } = lines[0]!
    if (line.kind === 'admin' && bytes > MOST_LINE_BYTES) throw tooLarge(bytes)
    await this.#join(lines)
  }

  /**
   * Writes a line that depends on the configuration recorded last. Such lines are written one after another, so that
   * none drops what another has just recorded.
   *
   * @param found the actual configuration, used as the recorded one if there is none
   * @throws SteleError as {@link write}
   */
  writeChange(found: Configuration, lineOf: (recorded: Configuration) => MetaLine): Promise<void> {
    const written = this.#lastChange.then(() => this.write(lineOf((this.#configuration ??= found))))
    this.#lastChange = written.catch(() => undefined)
    return written
  }

  /** Runs a task while the log of the trail is closed. Lines wait meanwhile, and are written when it is open again. */
  async whilePaused<T>(task: () => Promise<T>): Promise<T> {
    let goOn = (): void => {}
    this.#paused = new Promise((resolve) => (goOn = resolve))
    await this.#onItsWay?.catch(() => undefined)
    try {
      return await task()
    } finally {
      this.#paused = undefined
      goOn()
    }
  }

  /**
   * Writes the remaining counts, and waits until all lines are on disk.
   *
   * @param last a line after all others
   */
  async close(last?: MetaLine): Promise<void> {
    await this.#denied.close().catch(() => undefined)
    if (last) await this.write(last).catch(() => undefined)
    this.#closed = true
    await this.#writing
  }

  /** Adds lines to the current batch. @returns the promise shared by all who wait for that batch */
  #join(lines: readonly WrittenLine[]): Promise<void> {
    if (this.#closed) throw untraceable('the server is stopping')
    if (this.#linesWaiting >= MOST_WAITING) throw untraceable('too many lines are waiting')
    // Refused alone: in one append with other lines it would make all of them fail.
    if (lines.some(({ bytes }) => bytes > MAX_ENTRY_BYTES)) {
      throw untraceable('a line is too long for an entry')
    }
    const round = this.#roundFor(lines[0]!)
    for (const line of lines) round.add(line)
    this.#linesWaiting += lines.length
    this.#writing ??= this.#run()
    return round.done
  }

  #linesOf(line: MetaLine): WrittenLine[] {
    if (line.kind === 'start') return this.#startLines(line)
    return line.kind === 'admin' ? this.#adminLines(line) : [this.#object(line)]
  }

  #startLines({ sizes = [], configuration, ...line }: StartLine): WrittenLine[] {
    const lines = stateLines(line, configuration, this.accountsFor(sizes)).map((one) => this.#object(one))
    return [...lines.slice(0, -1), { ...lines.at(-1)!, configuration, sizes }]
  }

  /** Includes the parts of logs that change. If they are too many for a line, all parts follow. */
  #adminLines({ configuration, ...line }: AdminLine): WrittenLine[] {
    const before = this.#configuration ?? configuration
    const parts = partsBetween(logPartsOf(before), logPartsOf(configuration))
    const isShort = Buffer.byteLength(JSON.stringify(parts)) <= LIST_BYTES
    const shown = isShort && Object.keys(parts).length > 0 ? { parts } : {}
    const { log, index, entries = 0 } = line
    const placed = log === undefined || index === undefined ? undefined : { log, index, entries }
    const act = this.#object({ ...line, ...shown, configuration: summaryOf(configuration) })
    const behind = isShort ? [] : stateLines({ kind: 'configuration' }, configuration, undefined)
    return [{ ...act, configuration, placed }, ...behind.map((one) => this.#object(one))]
  }

  #object(line: object): WrittenLine {
    return this.#written(JSON.stringify(line).slice(1))
  }

  /** @param rest of a JSON object, after its opening brace */
  #written(rest: string, placed?: Placed): WrittenLine {
    const text = `{"at":"${this.#now()}",${rest}\n`
    return { text, bytes: Buffer.byteLength(text), placed }
  }

  /** Cached, because many lines share a millisecond and formatting the time is a notable part of a line's cost. */
  #now(): string {
    const atMs = this.#nowMs()
    if (atMs !== this.#at.ms) this.#at = { ms: atMs, text: new Date(atMs).toISOString() }
    return this.#at.text
  }

  /** The current batch, or a new one if it is full. */
  #roundFor(line: WrittenLine): MetaRound {
    const last = this.#rounds.at(-1)
    if (last?.hasRoomFor(line)) return last
    const round = new MetaRound()
    this.#rounds.push(round)
    return round
  }

  async #run(): Promise<void> {
    // Requests that arrived together finish at the end of this turn, so their lines go into the same page.
    await new Promise<void>((resolve) => setImmediate(resolve))
    let round: MetaRound | undefined
    while ((round = this.#rounds.shift())) {
      const { length } = round
      // No await between this check and the start of the write: that is the lock.
      while (this.#paused) await this.#paused
      try {
        this.#onItsWay = this.#writeRound(round)
        await this.#onItsWay
        this.#linesWritten += round.length
        round.resolve()
      } catch (error) {
        this.#failed += length
        round.reject(untraceable((error as Error).message, error))
      }
      this.#linesWaiting -= length
    }
    this.#writing = undefined
  }

  async #writeRound(round: MetaRound): Promise<void> {
    const { log } = this.#target
    if (!log) throw untraceable('it is not open')
    // Its witnesses are asked first whether they have seen more of it, once: it goes on without an answer.
    await log.started
    const isSaid = this.#remind(round)
    const pages = round.pages()
    await log.append(pages)
    this.#configuration = round.configuration ?? this.#configuration
    round.account(this.#accounts)
    this.#pagesSince = isSaid ? pages.length : this.#pagesSince + pages.length
  }

  /**
   * Repeats the whole configuration and the accounts, so that a reader finds the newest ones without reading far back.
   *
   * @returns true if the batch records all of it
   */
  #remind(round: MetaRound): boolean {
    if (round.isStart) return true
    // If nothing was recorded before, the configuration after the first act is recorded ahead of its line.
    const configuration = this.#configuration ?? round.configuration
    if (this.#pagesSince < REMINDER_PAGES || !configuration) return false
    const lines = stateLines({ kind: 'configuration' }, configuration, this.#accounts.list())
    round.addFirst(lines.map((line) => this.#object(line)))
    return true
  }
}

/** The state that a trail has recorded. */
export type Recorded = Pick<TrailState, 'configuration' | 'accounts'>

/** The entries that a request has appended to a log. */
function placedBy({ answer: { placed }, call }: Exchange): Placed | undefined {
  const log = call.path['log']
  return placed && log !== undefined ? { log, index: placed.index, entries: placed.entries } : undefined
}

function tooLarge(bytes: number): SteleError {
  return new SteleError(
    'too_large',
    `meta log: the line about this change would have ${bytes} bytes, and at most ${MOST_LINE_BYTES} fit; nothing was ` +
      `changed`,
  )
}

function untraceable(reason: string, cause?: unknown): SteleError {
  return new SteleError(
    'untraceable',
    `the meta log cannot be written (${reason}), and the server answers no request that it cannot record`,
    { cause, retryAfterSeconds: 5 },
  )
}

/** Bytes of one entry of the meta log. Many lines share an entry, so that a line costs a fraction of one. */
const PAGE_BYTES = 32 * 1024
/** Bytes of lines that are written at once: a commit small enough not to delay readers. */
const MOST_BYTES = 4 * 1024 * 1024

/** A line in its written form, with its line feed. */
interface WrittenLine {
  readonly text: string
  /** Bytes of its UTF-8 form. */
  readonly bytes: number
  /** The recorded configuration once this line is on disk. */
  readonly configuration?: Configuration | undefined
  /** Entries that this line accounts for. */
  readonly placed?: Placed | undefined
  /** Sizes of logs that this line states: entries below them count as accounted for. */
  readonly sizes?: readonly { readonly log: string; readonly size: number }[] | undefined
}

/**
 * A batch: lines that gather while others are being written, and then share one append. Either all of them are on disk
 * or none.
 */
class MetaRound {
  readonly #lines: WrittenLine[] = []
  #bytes = 0
  #configuration: Configuration | undefined
  /** Settles for all who wait for a line of this batch. */
  readonly done: Promise<void>
  resolve!: () => void
  reject!: (reason: unknown) => void

  constructor() {
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Every batch has a waiting caller; this only covers the moment before it begins to wait.
    this.done.catch(() => {})
  }

  get length(): number {
    return this.#lines.length
  }

  /** The configuration in its lines, the last one if there are several. */
  get configuration(): Configuration | undefined {
    return this.#configuration
  }

  /** True if a line fits. The first one always does. */
  hasRoomFor({ bytes }: WrittenLine): boolean {
    return this.#bytes === 0 || this.#bytes + bytes <= MOST_BYTES
  }

  add(line: WrittenLine): void {
    this.#lines.push(line)
    this.#bytes += line.bytes
    this.#configuration = line.configuration ?? this.#configuration
  }

  /** Puts lines before all others. */
  addFirst(lines: readonly WrittenLine[]): void {
    this.#lines.unshift(...lines)
    for (const { bytes } of lines) this.#bytes += bytes
  }

  /** True if one of its lines states the sizes of all logs. */
  get isStart(): boolean {
    return this.#lines.some(({ sizes }) => sizes !== undefined)
  }

  /** Accounts for the entries in its lines, once they are on disk. */
  account(accounts: TrailAccounts): void {
    for (const { placed, sizes } of this.#lines) {
      if (placed) accounts.cover(placed)
      if (sizes) for (const { log, size } of sizes) accounts.begin(log, size)
    }
  }

  /** Its lines in order, in as few entries as possible. A page is cut between lines; each ends with a line feed. */
  pages(): Uint8Array[] {
    const pages: string[][] = [[]]
    let size = 0
    for (const { text, bytes } of this.#lines) {
      if (size > 0 && size + bytes > PAGE_BYTES) {
        pages.push([])
        size = 0
      }
      pages.at(-1)!.push(text)
      size += bytes
    }
    return pages.map((page) => Buffer.from(page.join('')))
  }
}
