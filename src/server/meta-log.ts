import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { Traced, Trail } from '../http/trail.ts'
import type { Configuration } from './configuration.ts'
import { DeniedTally } from './denied-tally.ts'
import { deniedLine, requestLine, type MetaLine } from './meta-line.ts'

/** Bytes of one entry of the meta log: many lines share one, so that a line costs a fraction of an entry. */
const PAGE_BYTES = 32 * 1024
/** Lines that may wait to be written; beyond that nothing more is begun. */
const MOST_WAITING = 50_000

/** After this many pages the configuration is written down again. */
export const REMINDER_PAGES = 256

interface Waiting {
  readonly bytes: Buffer
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
  #waiting: Waiting[] = []
  /** The configuration that was recorded last, and how many pages ago. */
  #configuration: Configuration | undefined
  #pagesSince = 0
  #writing: Promise<void> | undefined

  /** @param configuration what a log that is opened by hand has recorded last */
  constructor(target: MetaTarget, nowMs: () => number, configuration?: Configuration) {
    this.#configuration = configuration
    this.#target = target
    this.#nowMs = nowMs
    this.#denied = new DeniedTally(nowMs, (line) => this.write(line))
  }

  /** Lines that are not on disk yet. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** The configuration that was recorded last. */
  get configuration(): Configuration | undefined {
    return this.#configuration
  }

  check(): void {
    const { log } = this.#target
    if (!log || log.failure) throw untraceable(log?.failure?.message ?? 'it is not open')
    if (this.#waiting.length >= MOST_WAITING) throw untraceable(`${MOST_WAITING} lines are waiting already`)
  }

  async record(traced: Traced): Promise<void> {
    if (traced.denied) return this.#denied.count(deniedLine(traced))
    const { caller } = traced
    if (caller) await this.write(requestLine({ ...traced, caller }))
  }

  /**
   * Writes a line.
   *
   * @returns once it is on disk, and a signed head of the meta log covers it
   * @throws SteleError `untraceable`
   */
  write(line: MetaLine): Promise<void> {
    const { kind, ...rest } = line
    if ('configuration' in line) this.#configuration = line.configuration
    const text = JSON.stringify({ at: new Date(this.#nowMs()).toISOString(), kind, ...rest })
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= MOST_WAITING) return reject(untraceable('too many lines are waiting'))
      this.#waiting.push({ bytes: Buffer.from(`${text}\n`), resolve, reject })
      this.#writing ??= this.#run()
    })
  }

  /** Writes what was counted and not yet written, and waits until all lines are on disk. */
  async close(): Promise<void> {
    await this.#denied.close().catch(() => undefined)
    await this.#writing
  }

  /** So that whoever opens this log finds the newest configuration without reading far. */
  #remind(pages: number): void {
    this.#pagesSince += pages
    if (this.#pagesSince < REMINDER_PAGES || !this.#configuration) return
    this.#pagesSince = 0
    // Nobody waits for it: when it cannot be written, the next line says so.
    this.write({ kind: 'configuration', configuration: this.#configuration }).catch(() => undefined)
  }

  async #run(): Promise<void> {
    // A request that came with this one is ready at the end of this turn: its line goes into the same page.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      this.#waiting = []
      try {
        const { log } = this.#target
        if (!log) throw untraceable('it is not open')
        const pages = pagesOf(lines)
        await log.append(pages)
        this.#remind(pages.length)
        for (const line of lines) line.resolve()
      } catch (error) {
        const reason = untraceable((error as Error).message, error)
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

function untraceable(reason: string, cause?: unknown): SteleError {
  return new SteleError(
    'untraceable',
    `the meta log cannot be written (${reason}), and nothing is answered that leaves no trace`,
    { cause, retryAfterSeconds: 5 },
  )
}
