import { TILE_WIDTH } from '../tile/path.ts'
import {
  type ScrubberOptions,
  type ScrubClock,
  type ScrubEvents,
  type ScrubStatus,
  SYSTEM_CLOCK,
  within,
} from './scrub-options.ts'
import { KnownFindings, type ScrubFinding } from './scrub-finding.ts'
import type { StoredParts } from '../log/options.ts'
import { ScrubProgress } from './scrub-progress.ts'
import { StretchReader } from './scrub-reader.ts'

/** One leaf of this many is looked up in the leaf index, another one in each pass: a look-up is a read at a random place. */
const INDEX_SAMPLE = 16
/** A pass begins no sooner than this after the one before began. */
const PASS_EVERY_MS = 3_600_000
/** The leaf index among the stretches: it is in a database of its own. */
const LEAF_INDEX = -1
/** Damage that is known is looked at again this often, so that a repair shows. */
const RECHECK_MS = 60_000

/**
 * Reads everything stored of one log repeatedly and slowly, and compares it with what was signed. Changes nothing but
 * its own cursor. Owner of the known damage.
 */
export class Scrubber {
  readonly #parts: StoredParts
  readonly #clock: ScrubClock
  readonly #events: ScrubEvents
  readonly #stop = new AbortController()
  /** Ends the rest before the next pass. */
  #hurry = new AbortController()
  readonly #known: KnownFindings
  readonly #progress: ScrubProgress
  readonly #reader: StretchReader
  readonly #running: Promise<void>
  #recheckedAtMs = 0

  constructor(parts: StoredParts, options: ScrubberOptions) {
    this.#parts = parts
    this.#clock = options.clock ?? SYSTEM_CLOCK
    this.#events = options.events ?? {}
    this.#known = new KnownFindings(this.#events)
    this.#progress = new ScrubProgress(options.cursor, this.#clock, () => parts.tree().size)
    this.#reader = new StretchReader({
      ...options,
      parts,
      clock: this.#clock,
      events: this.#events,
      signal: this.#stop.signal,
      looksUp: (stretch, index) => this.#looksUp(stretch, index),
    })
    // A scrubber that fails must not take the server with it.
    this.#running = this.#run().catch((error: unknown) => void this.#reader.failed(error))
  }

  get status(): ScrubStatus {
    const { pass, leaves, lastPass } = this.#progress.cursor
    const { size } = this.#parts.tree()
    return {
      coverage: size === 0 ? 1 : Math.min(1, leaves / size),
      pass,
      lastPass,
      bytesRead: this.#reader.bytesRead,
      readErrors: this.#reader.readErrors,
      findings: this.#known.list(),
      findingCount: this.#known.count,
    }
  }

  /** Begins the next pass at once, or as soon as the one under way has ended. */
  passNow(): void {
    this.#hurry.abort()
  }

  /** Stops after the reads that are on their way, and keeps the cursor. */
  close(): Promise<void> {
    this.#stop.abort()
    return this.#running
  }

  async #run(): Promise<void> {
    await this.#progress.restore(this.#known)
    while (!this.#stopped) {
      await this.#recheckKnown()
      await this.#step()
      if (this.#progress.isDue) await this.#save()
    }
    await this.#save()
  }

  /** One stretch, or the end of a pass. */
  async #step(): Promise<void> {
    const { next, target } = this.#progress.cursor
    if (next < target) {
      await this.#scrubIndexFiles([next / target, (next + 1) / target])
      if (await this.#scrub(next)) this.#progress.verified(TILE_WIDTH)
      return
    }
    if (target === 0) await this.#scrubIndexFiles([0, 1])
    // The tail last: what came in meanwhile and fills stretches of its own is for the next pass.
    const { size } = this.#parts.tree()
    if (!(await this.#scrub(Math.floor(size / TILE_WIDTH)))) return
    this.#progress.verified(size % TILE_WIDTH)
    await this.#endPass()
  }

  async #endPass(): Promise<void> {
    const done = this.#progress.endPass(this.#known.count)
    await this.#save()
    this.#events.onPassDone?.(done)
    const restMs = PASS_EVERY_MS - within(done.finishedAtMs - done.startedAtMs, PASS_EVERY_MS)
    const awake = AbortSignal.any([this.#stop.signal, this.#hurry.signal])
    for (let slept = 0; slept < restMs && !awake.aborted; slept += RECHECK_MS) {
      await this.#clock.sleep(Math.min(RECHECK_MS, restMs - slept), awake)
      await this.#recheckKnown()
    }
    this.#hurry = new AbortController()
    if (!this.#stopped) this.#progress.beginPass()
  }

  /** Damage that is known, also from before a restart, may have been repaired. */
  async #recheckKnown(): Promise<void> {
    if (this.#known.count === 0 || this.#stopped) return
    if (within(this.#clock.nowMs() - this.#recheckedAtMs, RECHECK_MS) < RECHECK_MS) return
    this.#recheckedAtMs = this.#clock.nowMs()
    this.#reader.forget()
    for (const stretch of this.#known.stretches()) await this.#scrub(stretch)
  }

  /**
   * Checks one stretch, and settles what is known of it.
   *
   * @returns false when it was stopped before it was done
   */
  async #scrub(stretch: number): Promise<boolean> {
    const findings = await this.#findingsIn(stretch)
    if (!findings) return false
    // A repair could be tried here: each remaining finding is confirmed, names what to restore (`at`), and has not been
    // reported yet. After any repair, checking the block range again is what confirms it.
    if (this.#known.settle(stretch, findings)) await this.#save()
    return true
  }

  /** A share of the leaf index with each stretch, so that a pass comes by all of its files. */
  async #scrubIndexFiles(share: readonly [from: number, to: number]): Promise<void> {
    if (!this.#parts.index.checkFiles) return
    const found = (await this.#reader.readIndexFiles(share)) ?? []
    const before = this.#known.of(LEAF_INDEX)
    const fresh = found.filter((finding) => !this.#known.has(LEAF_INDEX, finding))
    if (fresh.length > 0 && this.#known.settle(LEAF_INDEX, [...before, ...fresh])) await this.#save()
  }

  async #findingsIn(stretch: number): Promise<readonly ScrubFinding[] | undefined> {
    const before = this.#reader.bytesRead
    try {
      if (stretch === LEAF_INDEX) return await this.#reader.readIndexFiles()
      const read = await this.#reader.read(stretch, (finding) => this.#known.has(stretch, finding))
      // Damage that readers found independently of the scrubber.
      for (const earlier of read?.damagedBefore ?? []) {
        if (!this.#known.of(earlier).some(({ at }) => at.kind === 'file')) await this.#scrub(earlier)
      }
      return read?.findings
    } finally {
      this.#progress.readBytes(this.#reader.bytesRead - before)
    }
  }

  #looksUp(stretch: number, index: number): boolean {
    if (index % INDEX_SAMPLE === this.#progress.cursor.pass % INDEX_SAMPLE) return true
    return this.#known.of(stretch).some(({ at }) => at.kind === 'leaf_index' && at.index === index)
  }

  /** A cursor that cannot be written costs work after a restart, and nothing else. */
  #save(): Promise<void> {
    return this.#progress.save(this.#known).catch((error: unknown) => void this.#reader.failed(error))
  }

  get #stopped(): boolean {
    return this.#stop.signal.aborted
  }
}
