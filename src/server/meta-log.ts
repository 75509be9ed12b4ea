import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { TrailStatus } from '../http/trail-metrics.ts'
import type { Traced, Trail } from '../http/trail.ts'
import type { Configuration } from './configuration.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import { DeniedTally } from './denied-tally.ts'
import { deniedLine, requestLine, type MetaLine } from './meta-line.ts'

/** Bytes of one entry of the meta log: many lines share one, so that a line costs a fraction of an entry. */
const PAGE_BYTES = 32 * 1024
/** Bytes of lines that are written at once: a commit that readers do not feel. */
const MOST_BYTES = 4 * 1024 * 1024
/** Lines that may wait to be written; beyond that nothing more is begun. */
const MOST_WAITING = 50_000
/** Bytes of one line: an entry holds 65,535, and what is recorded at a start must fit as well, with what it adds. */
const MOST_LINE_BYTES = 60_000

/** After this many pages the configuration is written down again. */
export const REMINDER_PAGES = 256

interface Waiting {
  readonly bytes: Buffer
  /** What is recorded as the configuration once this line is on disk. */
  readonly configuration: Configuration | undefined
  readonly resolve: () => void
  readonly reject: (error: SteleError) => void
}

/** What a meta log writes to: a log, as far as it is open at this moment. */
export interface MetaTarget {
  readonly log: Log | undefined
}

/**
 * The log of who did what: a Stele log like any other, whose entries are pages of JSON lines. Owner of the lines that
 * wait. While one page is on its way to the disk the next lines gather, so that a thousand requests a second cost a
 * few entries.
 */
export class MetaLog implements Trail {
  readonly #target: MetaTarget
  readonly #nowMs: () => number
  readonly #denied: DeniedTally
  readonly #waiting: Waiting[] = []
  /** The configuration that was recorded last, and how many pages ago. */
  #configuration: Configuration | undefined
  #pagesSince = 0
  #linesWritten = 0
  #failed = 0
  #writing: Promise<void> | undefined
  #lastChange: Promise<void> = Promise.resolve()
  /** The server is stopping, and has said so: nothing comes behind that line. */
  #closed = false
  /** Why no request may be written down yet. */
  #held: string | undefined

  /** @param configuration what a log that is opened by hand has recorded last */
  constructor(target: MetaTarget, nowMs: () => number, configuration?: Configuration) {
    this.#configuration = configuration
    // It may stand far back: the first page says it again.
    this.#pagesSince = REMINDER_PAGES
    this.#target = target
    this.#nowMs = nowMs
    this.#denied = new DeniedTally(nowMs, (line) => this.write(line))
  }

  get status(): TrailStatus {
    return { waiting: this.#waiting.length, written: this.#linesWritten, failed: this.#failed }
  }

  /** The configuration that was recorded last. */
  get configuration(): Configuration | undefined {
    return this.#configuration
  }

  /** Lets no request through before something else has been written. @param reason undefined: from now on they may */
  hold(reason: string | undefined): void {
    this.#held = reason
  }

  check(): void {
    if (this.#closed) throw untraceable('the server is stopping')
    if (this.#held !== undefined) throw untraceable(this.#held)
    const { log } = this.#target
    if (!log || log.failure) throw untraceable(log?.failure?.message ?? 'it is not open')
    if (this.#waiting.length >= MOST_WAITING) throw untraceable(`${MOST_WAITING} lines are waiting already`)
  }

  async record(traced: Traced): Promise<void> {
    // Also of those that are only counted: a count that cannot be written is no trace.
    this.check()
    if (traced.denied) return this.#denied.count(deniedLine(traced))
    const { caller } = traced
    if (caller) await this.write(requestLine({ ...traced, caller }))
  }

  /**
   * Writes a line.
   *
   * @returns once it is on disk, and a signed head of the meta log covers it
   * @throws SteleError `untraceable`; `too_large` for a change that does not fit in a line
   */
  write(line: MetaLine): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(untraceable('the server is stopping'))
      if (this.#waiting.length >= MOST_WAITING) return reject(untraceable('too many lines are waiting'))
      const waiting = { ...this.#written(line), resolve, reject }
      const { length } = waiting.bytes
      if (line.kind === 'admin' && length > MOST_LINE_BYTES) return reject(tooLarge(length))
      // Alone: in one append with others it would take them along.
      if (length > MAX_ENTRY_BYTES) return reject(untraceable('a line is too long for an entry'))
      this.#waiting.push(waiting)
      this.#writing ??= this.#run()
    })
  }

  /**
   * Writes a line that builds on the configuration that was recorded last. One such line waits for the one before, so
   * that none drops what another has just recorded.
   *
   * @throws SteleError as {@link write}
   */
  writeChange(lineOf: (recorded: Configuration | undefined) => MetaLine): Promise<void> {
    const written = this.#lastChange.then(() => this.write(lineOf(this.#configuration)))
    this.#lastChange = written.catch(() => undefined)
    return written
  }

  /**
   * Writes what was counted and not yet written, and waits until all lines are on disk.
   *
   * @param last a line behind all others
   */
  async close(last?: MetaLine): Promise<void> {
    await this.#denied.close().catch(() => undefined)
    if (last) await this.write(last).catch(() => undefined)
    this.#closed = true
    await this.#writing
  }

  #written(line: MetaLine): Pick<Waiting, 'bytes' | 'configuration'> {
    // Put together by hand: `at` and the line's own text, not another object with both.
    const text = `{"at":"${new Date(this.#nowMs()).toISOString()}",${JSON.stringify(line).slice(1)}\n`
    return {
      bytes: Buffer.from(text),
      configuration: 'configuration' in line ? line.configuration : undefined,
    }
  }

  /** Notes what stands in the log now, so that whoever opens it finds the newest configuration without reading far. */
  #onWritten(lines: readonly Waiting[], pages: number): void {
    const told = lines.findLast(({ configuration }) => configuration !== undefined)
    if (told) this.#configuration = told.configuration
    this.#pagesSince = told ? pages : this.#pagesSince + pages
    if (this.#pagesSince < REMINDER_PAGES || !this.#configuration) return
    const reminder = this.#written({ kind: 'configuration', configuration: this.#configuration })
    // Ahead of all others, one of which may change it. Nobody waits for it: when it fails, the next page brings another.
    this.#waiting.unshift({ ...reminder, resolve() {}, reject() {} })
  }

  /** The lines that are written next, in order. */
  #take(): Waiting[] {
    let bytes = 0
    const end = this.#waiting.findIndex((line) => (bytes += line.bytes.length) > MOST_BYTES)
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : Math.max(1, end))
  }

  async #run(): Promise<void> {
    // A request that came with this one is ready at the end of this turn: its line goes into the same page.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const lines = this.#take()
      try {
        const { log } = this.#target
        if (!log) throw untraceable('it is not open')
        const pages = pagesOf(lines)
        await log.append(pages)
        this.#linesWritten += lines.length
        this.#onWritten(lines, pages.length)
        for (const line of lines) line.resolve()
      } catch (error) {
        const reason = untraceable((error as Error).message, error)
        this.#failed += lines.length
        for (const line of lines) line.reject(reason)
      }
    }
    this.#writing = undefined
  }
}

/** Lines in order, as few entries as hold them. A page is cut between lines; each ends with a line feed. */
function pagesOf(lines: readonly Waiting[]): Uint8Array[] {
  const pages: Buffer[][] = [[]]
  let size = 0
  for (const { bytes } of lines) {
    if (size > 0 && size + bytes.length > PAGE_BYTES) {
      pages.push([])
      size = 0
    }
    pages.at(-1)!.push(bytes)
    size += bytes.length
  }
  return pages.map((page) => Buffer.concat(page))
}

function tooLarge(bytes: number): SteleError {
  return new SteleError(
    'too_large',
    `meta log: the line about this change, with the parts of the whole configuration, would have ${bytes} bytes, and ` +
      `at most ${MOST_LINE_BYTES} fit; nothing was changed`,
  )
}

function untraceable(reason: string, cause?: unknown): SteleError {
  return new SteleError(
    'untraceable',
    `the meta log cannot be written (${reason}), and nothing is answered that leaves no trace`,
    { cause, retryAfterSeconds: 5 },
  )
}
