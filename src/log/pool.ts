import { SteleError } from '../errors.ts'
import type { Unit } from './unit.ts'

/** Bounds of what may wait to be committed, and of one commit. */
export interface PoolLimits {
  /** Entries that may wait at once. */
  readonly maxEntries: number
  /** Bytes of entries that may wait at once; each entry counts `ENTRY_OVERHEAD_BYTES` more than its length. */
  readonly maxBytes: number
  /** Entries of one commit, which bounds how long a commit takes; a larger unit is committed alone. */
  readonly maxCommitEntries: number
  /** Bytes of one commit, likewise. */
  readonly maxCommitBytes: number
}

/** What a waiting entry costs beside its bytes: objects, promises, a key of the map of live leaves. */
const ENTRY_OVERHEAD_BYTES = 512

/** A caller may hold this share of the pool: past it the answer is 429, and others still get in. */
const CALLER_SHARE = 0.5

/**
 * The entries that wait for an index. Owner of that queue and of its bounds: units are admitted (counted), then
 * queued, then taken whole, then settled. Nothing here is acknowledged to anybody.
 */
export class Pool {
  readonly #limits: PoolLimits
  readonly #nowMs: () => number
  #queue: Unit[] = []
  #entries = 0
  #bytes = 0
  readonly #heldBy = new Map<string, number>()
  #wake: (() => void) | undefined
  #drain: { bytesPerMs: number; atMs: number }

  constructor(limits: PoolLimits, nowMs: () => number) {
    this.#limits = limits
    this.#nowMs = nowMs
    this.#drain = { bytesPerMs: 0, atMs: nowMs() }
  }

  /** Entries that were admitted and are not settled yet. */
  get depth(): number {
    return this.#entries
  }

  /** Bytes they hold. */
  get bytes(): number {
    return this.#bytes
  }

  /** Since when the oldest waiting unit waits, in milliseconds since 1970. */
  get oldestMs(): number | undefined {
    return this.#queue[0]?.queuedAtMs
  }

  /**
   * Counts the unit against the bounds, or refuses it before anything was claimed for it.
   *
   * @throws SteleError `overloaded` when the pool is full, `rate_limited` when this caller's share is
   */
  admit(unit: Unit, entries: number, entryBytes: number): void {
    const bytes = entryBytes + entries * ENTRY_OVERHEAD_BYTES
    if (this.#entries + entries > this.#limits.maxEntries || this.#bytes + bytes > this.#limits.maxBytes) {
      throw this.#refusal(
        'overloaded',
        `${this.#entries} entries wait already: nothing of this request was logged`,
      )
    }
    const held = (this.#heldBy.get(unit.caller) ?? 0) + bytes
    // A lone submission always fits, however large its share: otherwise it could never be made.
    if (held > this.#limits.maxBytes * CALLER_SHARE && held > bytes) {
      throw this.#refusal(
        'rate_limited',
        `half of the queue is yours already: nothing of this request was logged`,
      )
    }
    this.#entries += entries
    this.#bytes += bytes
    this.#heldBy.set(unit.caller, held)
    unit.bytes += bytes
    unit.admitted += entries
  }

  /** Puts an admitted unit in line. */
  push(unit: Unit): void {
    unit.queuedAtMs = this.#nowMs()
    this.#queue.push(unit)
    this.#wake?.()
  }

  /** As many waiting units, oldest first, as one commit may hold; at least one if any waits. */
  take(): Unit[] {
    let entries = 0
    let bytes = 0
    const fits = (unit: Unit): boolean => {
      entries += unit.leaves.length
      bytes += unit.bytes
      return entries <= this.#limits.maxCommitEntries && bytes <= this.#limits.maxCommitBytes
    }
    const over = this.#queue.findIndex((unit, i) => !fits(unit) && i > 0)
    const taken = over < 0 ? this.#queue : this.#queue.slice(0, over)
    this.#queue = over < 0 ? [] : this.#queue.slice(over)
    return taken
  }

  /** All waiting units. */
  takeAll(): Unit[] {
    return this.#queue.splice(0)
  }

  /** Gives back what the units held. Called once for each admitted unit, whatever became of it. */
  release(units: readonly Unit[]): void {
    let bytes = 0
    for (const unit of units) {
      bytes += unit.bytes
      this.#entries -= unit.admitted
      const held = (this.#heldBy.get(unit.caller) ?? 0) - unit.bytes
      if (held > 0) this.#heldBy.set(unit.caller, held)
      else this.#heldBy.delete(unit.caller)
    }
    this.#bytes -= bytes
    this.#measureDrain(bytes)
    // Whoever drains the pool waits for this, also where nothing of a unit was left to be queued.
    if (this.#entries === 0) this.#wake?.()
  }

  /** Resolves when something waits, or when `poke` is called. */
  async whenFilled(): Promise<void> {
    if (this.#queue.length > 0) return
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
  }

  /** Wakes whoever waits in `whenFilled` though nothing was queued. */
  poke(): void {
    this.#wake?.()
  }

  /** A moving average over about a second of the bytes that leave per millisecond. */
  #measureDrain(bytes: number): void {
    const nowMs = this.#nowMs()
    const elapsedMs = Math.max(1, nowMs - this.#drain.atMs)
    const weight = Math.min(1, elapsedMs / 1000)
    const rate = bytes / elapsedMs
    this.#drain = { bytesPerMs: this.#drain.bytesPerMs * (1 - weight) + rate * weight, atMs: nowMs }
  }

  #refusal(code: 'overloaded' | 'rate_limited', message: string): SteleError {
    // Before anything was committed there is no rate to go by, and a second is a guess.
    const seconds = this.#drain.bytesPerMs > 0 ? this.#bytes / this.#drain.bytesPerMs / 1000 : 1
    return new SteleError(code, `queue: ${message}`, {
      retryAfterSeconds: Math.min(60, Math.max(1, Math.ceil(seconds))),
    })
  }
}
