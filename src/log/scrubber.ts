import { SteleError } from '../errors.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import {
  decodeCursor,
  encodeCursor,
  type ScrubCursor,
  type ScrubCursorStore,
  type ScrubPass,
} from './scrub-cursor.ts'
import { scrubFinding, type ScrubFinding } from './scrub-finding.ts'
import { KnownFindings, type FindingEvents } from './scrub-known.ts'
import type { StoredParts } from './scrub-parts.ts'
import { VerifiedPath } from './scrub-path.ts'
import { StretchCheck } from './scrub-stretch.ts'

/** One leaf of this many is looked up in the leaf index, another one in each pass: a look-up is a read at a random place. */
const INDEX_SAMPLE = 16
/** For each millisecond of work the scrubber rests this many: it never takes more than a tenth of a core, or of a slow disk. */
const REST = 9
/** A pass begins no sooner than this after the one before began. */
const PASS_EVERY_MS = 3_600_000
/** Damage that is known is looked at again this often, so that a repair shows. */
const RECHECK_MS = 60_000
/** What is found is looked at once more after this long. */
const CONFIRM_MS = 1000
/** How long to wait before reading again what could not be read; after the last one it counts as unreadable. */
const RETRY_MS = [1000, 10_000, 60_000]
/** The cursor moves at least this often: what is verified again after a crash. */
const SAVE_MS = 10_000

/** The time, and waiting for it. */
export interface ScrubClock {
  /** Milliseconds since 1970. */
  nowMs(): number
  /** Resolves after this long, or at once when the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

/** For whoever writes the server's log, or records it elsewhere. None of them may throw. */
export interface ScrubEvents extends FindingEvents {
  onPassDone?(pass: ScrubPass): void
  /** Reading failed: nothing is known, and it is tried again. */
  onReadError?(error: SteleError): void
}

export interface ScrubberOptions {
  /** Above 0. The rate over any stretch of time longer than a few reads. */
  readonly bytesPerSecond: number
  readonly cursor: ScrubCursorStore
  readonly events?: ScrubEvents
  readonly clock?: ScrubClock
}

/** What a scrubber is doing, for health and metrics. */
export interface ScrubStatus {
  /** 0 to 1: how much of the tree was verified in this pass. */
  readonly coverage: number
  readonly pass: number
  readonly lastPass: ScrubPass | undefined
  /** Since the log was opened. */
  readonly bytesRead: number
  readonly readErrors: number
  /** What is damaged, the first hundred of it. */
  readonly findings: readonly ScrubFinding[]
  /** How much is damaged, those included that are too many to be kept. */
  readonly findingCount: number
}

/**
 * Reads everything that is stored of one log again and again, slowly, and compares it with what was signed. A follower: it
 * changes nothing but its own cursor. Owner of that cursor and of what is known to be damaged.
 */
export class Scrubber {
  readonly #parts: StoredParts
  readonly #options: ScrubberOptions
  readonly #clock: ScrubClock
  readonly #events: ScrubEvents
  readonly #stop = new AbortController()
  readonly #known: KnownFindings
  readonly #running: Promise<void>
  #path: VerifiedPath
  #cursor: ScrubCursor
  #bytesRead = 0
  #readErrors = 0
  #savedAtMs = 0
  #recheckedAtMs = 0

  constructor(parts: StoredParts, options: ScrubberOptions) {
    this.#parts = parts
    this.#options = options
    this.#clock = options.clock ?? SYSTEM_CLOCK
    this.#events = options.events ?? {}
    this.#known = new KnownFindings(this.#events)
    this.#path = new VerifiedPath(parts.store, parts.tree())
    this.#cursor = this.#newPass(1, undefined)
    // A scrubber that fails must not take the server with it.
    this.#running = this.#run().catch((error: unknown) => this.#events.onReadError?.(asReadError(error)))
  }

  get status(): ScrubStatus {
    const { pass, leaves, lastPass } = this.#cursor
    const { size } = this.#parts.tree()
    return {
      coverage: size === 0 ? 1 : Math.min(1, leaves / size),
      pass,
      lastPass,
      bytesRead: this.#bytesRead,
      readErrors: this.#readErrors,
      findings: this.#known.list(),
      findingCount: this.#known.count,
    }
  }

  /** Stops after the reads that are on their way, and keeps the cursor. */
  close(): Promise<void> {
    this.#stop.abort()
    return this.#running
  }

  async #run(): Promise<void> {
    await this.#restore()
    while (!this.#stopped) {
      await this.#recheckKnown()
      await this.#step()
      if (this.#clock.nowMs() - this.#savedAtMs >= SAVE_MS) await this.#save()
    }
    await this.#save()
  }

  /** One stretch, or the end of a pass. */
  async #step(): Promise<void> {
    const { next, target } = this.#cursor
    if (next < target) {
      if (!(await this.#scrub(next))) return
      this.#cursor = { ...this.#cursor, next: next + 1, leaves: this.#cursor.leaves + TILE_WIDTH }
      return
    }
    // The tail last: what came in meanwhile and fills stretches of its own is for the next pass.
    const { size } = this.#parts.tree()
    if (!(await this.#scrub(Math.floor(size / TILE_WIDTH)))) return
    this.#cursor = { ...this.#cursor, leaves: this.#cursor.leaves + (size % TILE_WIDTH) }
    await this.#endPass()
  }

  async #endPass(): Promise<void> {
    const { pass, startedAtMs, leaves, bytesRead } = this.#cursor
    const finishedAtMs = this.#clock.nowMs()
    const done = { pass, startedAtMs, finishedAtMs, leaves, bytesRead, findings: this.#known.count }
    this.#cursor = { ...this.#cursor, lastPass: done }
    await this.#save()
    this.#events.onPassDone?.(done)
    const restMs = PASS_EVERY_MS - within(finishedAtMs - startedAtMs, PASS_EVERY_MS)
    for (let slept = 0; slept < restMs && !this.#stopped; slept += RECHECK_MS) {
      await this.#sleep(Math.min(RECHECK_MS, restMs - slept))
      await this.#recheckKnown()
    }
    if (!this.#stopped) this.#cursor = this.#newPass(pass + 1, done)
  }

  #newPass(pass: number, lastPass: ScrubPass | undefined): ScrubCursor {
    const target = Math.floor(this.#parts.tree().size / TILE_WIDTH)
    const startedAtMs = this.#clock.nowMs()
    return { pass, startedAtMs, next: 0, target, leaves: 0, bytesRead: 0, lastPass, findings: [] }
  }

  /** Damage that is known, also from before a restart, may have been repaired. */
  async #recheckKnown(): Promise<void> {
    if (this.#known.count === 0 || this.#stopped) return
    if (within(this.#clock.nowMs() - this.#recheckedAtMs, RECHECK_MS) < RECHECK_MS) return
    this.#recheckedAtMs = this.#clock.nowMs()
    // A tile that was made good on disk is not read again while a copy of it is on the path.
    this.#path = new VerifiedPath(this.#parts.store, this.#parts.tree())
    for (const stretch of this.#known.stretches()) await this.#scrub(stretch)
  }

  /**
   * Checks one stretch at the allowed rate, and settles what is known of it.
   *
   * @returns false when it was stopped before it was done
   */
  async #scrub(stretch: number): Promise<boolean> {
    let findings = await this.#patiently(stretch)
    if (findings && findings.length > 0 && !findings.every((finding) => this.#known.has(stretch, finding))) {
      findings = await this.#confirmed(stretch, findings)
    }
    if (!findings) return false
    // Here is where a repair would be tried: each finding that is left is confirmed, names what to put back (`at`), and
    // has not been reported yet. Whatever puts it back, checking the stretch again is what says that it is good.
    if (this.#known.settle(stretch, findings)) await this.#save()
    return true
  }

  /** Only what is seen a second time, read anew down from the edge, is damage. */
  async #confirmed(
    stretch: number,
    suspected: readonly ScrubFinding[],
  ): Promise<readonly ScrubFinding[] | undefined> {
    await this.#sleep(CONFIRM_MS)
    if (this.#stopped) return undefined
    this.#path = new VerifiedPath(this.#parts.store, this.#parts.tree())
    const again = await this.#patiently(stretch)
    return again?.filter(({ message }) => suspected.some((suspect) => suspect.message === message))
  }

  /** A read that fails is tried again: it says something of the disk at that moment, and nothing of what is stored. */
  async #patiently(stretch: number): Promise<readonly ScrubFinding[] | undefined> {
    for (let attempt = 0; !this.#stopped; attempt++) {
      try {
        return await this.#atRate(stretch)
      } catch (cause) {
        const error = asReadError(cause)
        this.#readErrors++
        this.#events.onReadError?.(error)
        const waitMs = RETRY_MS[attempt]
        if (waitMs === undefined) return [this.#unreadable(stretch, error)]
        await this.#sleep(waitMs)
      }
    }
    return undefined
  }

  async #atRate(stretch: number): Promise<readonly ScrubFinding[]> {
    const startedMs = this.#clock.nowMs()
    const tree = this.#parts.tree()
    this.#path.moveTo(tree)
    const check = new StretchCheck(this.#parts, this.#path, tree, stretch, {
      yieldTurn,
      looksUp: (index) => this.#looksUp(stretch, index),
    })
    try {
      await check.run()
    } finally {
      await this.#rest(check.bytesRead, within(this.#clock.nowMs() - startedMs, 60_000))
    }
    return check.findings
  }

  /** Waits as long as the bytes are worth, and longer where the work itself took long: others need the machine then. */
  #rest(bytes: number, tookMs: number): Promise<void> {
    this.#bytesRead += bytes
    this.#cursor = { ...this.#cursor, bytesRead: this.#cursor.bytesRead + bytes }
    const worthMs = Math.ceil((bytes * 1000) / this.#options.bytesPerSecond)
    return this.#sleep(Math.max(worthMs - tookMs, tookMs * REST))
  }

  #looksUp(stretch: number, index: number): boolean {
    if (index % INDEX_SAMPLE === this.#cursor.pass % INDEX_SAMPLE) return true
    return this.#known.of(stretch).some(({ at }) => at.kind === 'leaf_index' && at.index === index)
  }

  #unreadable(stretch: number, error: SteleError): ScrubFinding {
    const begin = stretch * TILE_WIDTH
    const end = Math.min(begin + TILE_WIDTH, this.#parts.tree().size)
    return scrubFinding({ kind: 'unreadable', begin, end }, 'that they can be read', error.message)
  }

  async #restore(): Promise<void> {
    const bytes = await this.#options.cursor.read().catch(() => undefined)
    const cursor = bytes && decodeCursor(bytes)
    // Of a larger log: a backup was restored, and the cursor was not.
    if (!cursor || Math.max(cursor.next, cursor.target) * TILE_WIDTH > this.#parts.tree().size) return
    this.#known.restore(cursor.findings)
    this.#cursor = cursor
    if (cursor.lastPass?.pass === cursor.pass) this.#cursor = this.#newPass(cursor.pass + 1, cursor.lastPass)
  }

  /** A cursor that cannot be written costs work after a restart, and nothing else. */
  async #save(): Promise<void> {
    this.#savedAtMs = this.#clock.nowMs()
    const cursor = { ...this.#cursor, findings: this.#known.entries() }
    await this.#options.cursor.write(encodeCursor(cursor)).catch((error: unknown) => {
      this.#events.onReadError?.(asReadError(error))
    })
  }

  #sleep(ms: number): Promise<void> {
    return this.#clock.sleep(ms, this.#stop.signal)
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted
  }
}

const SYSTEM_CLOCK: ScrubClock = {
  nowMs: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1)).unref()
      signal.addEventListener('abort', done, { once: true })
    }),
}

const yieldTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A stretch of time that a clock which was set may have made negative or huge. */
function within(ms: number, atMostMs: number): number {
  return Math.min(Math.max(ms, 0), atMostMs)
}

function asReadError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `scrubber: ${message}`, { cause: error })
}
