import { setImmediate as nextTurn } from 'node:timers/promises'
import { SteleError } from '../errors.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'
import type { Indexing } from './options.ts'
import type { TileReader } from './reader.ts'
import type { LiveLeaf } from './unit.ts'

/** Leaves between two synced moves of the cursor: at 24 + 8 bytes each, what is replayed after a crash. */
const CURSOR_STEP = 32_768
/** Leaves of one write to the index. */
const WRITE_STEP = 4096
/** How long leaves gather for one write: one for each commit would cost half as much as the commit itself. */
const GATHER_MS = 25
/** An index that has nothing to write for this long is synced. */
const IDLE_MS = 1000
/** The sequencer waits while the index is this far behind: the bound on live leaves in memory. */
const MAX_LAG = 65_536

/**
 * A crash leaves up to `CURSOR_STEP` leaves, and under full load those of the queue, to be written at the next opening, in about a
 * second. A step of 8192 leaves keeps a thread of the pool as busy as one round of look-ups does.
 */
export const INDEXING: Indexing = { atOpening: CURSOR_STEP + MAX_LAG, step: 8192 }

/**
 * Writes the leaf index behind the commits: a follower. Owner of the index's cursor. An idle log's index is
 * synced within a second. An index that lacks more than a crash leaves, since its folder was lost, is first completed from the
 * log's tiles, in durable steps: what kills the process meanwhile costs one step.
 */
export class Indexer {
  readonly #index: LeafIndex
  readonly #reader: TileReader
  readonly #observer: LogObserver
  readonly #forget: (leaves: readonly LiveLeaf[]) => void
  readonly #onLost: (failure: SteleError) => void
  readonly #step: number
  /** True when a leaf may be in the index already with a lower index, which then stays. */
  readonly #mayRepeat: boolean
  #queue: LiveLeaf[] = []
  /** Leaves with indexes below this are in the index. */
  #written: number
  /** All leaves below this are committed, and are to be in the index. */
  #handed: number
  /** Up to here the index is completed from tiles, and behind it from the queue; undefined once it is complete. */
  #completeTo: number | undefined
  readonly #begun: { readonly atMs: number; readonly written: number }
  #completing: Promise<void> | undefined
  #stopped = false
  #running: Promise<void> | undefined
  #gathering: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #room: (() => void) | undefined
  #failure: SteleError | undefined

  constructor(parts: {
    index: LeafIndex
    /** Reads leaf hashes for an index that lacks them; asked for the first time when the log is there. */
    reader: TileReader
    /** The size of the log. */
    size: number
    mayRepeat: boolean
    forget: (leaves: readonly LiveLeaf[]) => void
    /** Told when an index cannot be completed: until it is, it says of no leaf that it is not there. */
    onLost: (failure: SteleError) => void
    step?: number
    observer?: LogObserver
  }) {
    this.#index = parts.index
    this.#reader = parts.reader
    this.#observer = parts.observer ?? UNOBSERVED
    this.#written = parts.index.cursor
    this.#handed = parts.size
    this.#mayRepeat = parts.mayRepeat
    this.#forget = parts.forget
    this.#onLost = parts.onLost
    this.#step = parts.step ?? INDEXING.step
    this.#begun = { atMs: performance.now(), written: this.#written }
    if (this.#written < this.#handed) {
      this.#completeTo = this.#handed
      this.#completing = this.#complete()
    }
  }

  /** How many committed leaves are not in the index yet. */
  get lag(): number {
    return this.#handed - this.#written
  }

  /** Why a leaf that is not found may be in the log all the same; undefined while the index is complete. */
  get behind(): SteleError | undefined {
    if (this.#completeTo === undefined) return undefined
    const perMs = (this.#written - this.#begun.written) / (performance.now() - this.#begun.atMs)
    const seconds = perMs > 0 ? Math.ceil(this.lag / perMs / 1000) : 1
    return new SteleError(
      'index_behind',
      `the leaf index is being made again and holds ${this.#written} of ${this.#handed} leaves: until it holds all, it ` +
        `cannot be said which entries are new; nothing was logged`,
      { retryAfterSeconds: Math.min(60, Math.max(1, seconds)) },
    )
  }

  /** Takes over leaves that were just committed, in the order of their indexes. Never waits. */
  follow(leaves: readonly LiveLeaf[]): void {
    this.#handed += leaves.length
    if (this.#completeTo !== undefined && this.#queue.length === 0 && this.lag > 2 * this.#step) {
      // Read from the tiles later, so that no memory holds them until then. Near the end they queue: the end must come.
      this.#completeTo = this.#handed
      return this.#forget(leaves)
    }
    for (const leaf of leaves) this.#queue.push(leaf)
    this.#next()
  }

  /**
   * Resolves when there is room for more.
   *
   * @throws SteleError `io_error` when the index cannot be written any more
   */
  async room(): Promise<void> {
    while (this.#handed - Math.max(this.#written, this.#completeTo ?? 0) > MAX_LAG && !this.#failure) {
      await new Promise<void>((resolve) => (this.#room = resolve))
    }
    if (this.#failure) throw this.#failure
  }

  /**
   * Resolves when all that was handed over is in the index, durably, or cannot be written any more. What an index that is not
   * complete lacks is left to the next opening.
   */
  async drained(): Promise<void> {
    this.#stopped = true
    await this.#completing
    while (this.#completeTo === undefined && (this.#running || (this.#queue.length > 0 && !this.#failure))) {
      this.#start()
      await this.#running
    }
    clearTimeout(this.#idle)
    await this.#moveCursor()
  }

  /** Between its steps requests get their turn. */
  async #complete(): Promise<void> {
    try {
      while (this.#written < this.#completeTo!) {
        await nextTurn()
        if (this.#stopped) return
        const end = Math.min(this.#completeTo!, this.#written + this.#step)
        await indexStep(this.#index, this.#reader, end)
        this.#observer.synced('index')
        this.#written = end
      }
      this.#completeTo = undefined
      this.#room?.()
      this.#next()
    } catch (error) {
      this.#fail(error)
      this.#onLost(this.#failure!)
    }
  }

  /** Writes now what is worth it, and the rest when it had time to gather. */
  #next(): void {
    // Behind leaves that could not be written nothing is: the cursor must not pass them.
    if (this.#running || this.#failure || this.#queue.length === 0 || this.#completeTo !== undefined) return
    if (this.#queue.length >= WRITE_STEP) this.#start()
    else this.#gathering ??= setTimeout(() => this.#start(), GATHER_MS).unref()
  }

  #start(): void {
    clearTimeout(this.#gathering)
    this.#gathering = undefined
    this.#running ??= this.#run()
  }

  async #run(): Promise<void> {
    clearTimeout(this.#idle)
    try {
      do await this.#writeSome()
      while (this.#queue.length >= WRITE_STEP)
    } catch (error) {
      this.#fail(error)
    }
    this.#running = undefined
    // Under load the queue runs dry after nearly every write: a sync each time would double the log's own.
    this.#idle = setTimeout(() => void this.#moveCursor(), IDLE_MS).unref()
    this.#next()
  }

  async #writeSome(): Promise<void> {
    const leaves = this.#queue.splice(0, WRITE_STEP)
    await writeLeaves(this.#index, leaves as (LiveLeaf & { index: number })[], this.#mayRepeat)
    this.#written += leaves.length
    this.#forget(leaves)
    this.#room?.()
    if (this.#written - this.#index.cursor >= CURSOR_STEP) await this.#sync()
  }

  async #moveCursor(): Promise<void> {
    try {
      if (!this.#failure && this.#written !== this.#index.cursor) await this.#sync()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #sync(): Promise<void> {
    await this.#index.moveCursor(this.#written)
    this.#observer.synced('index')
  }

  #fail(error: unknown): void {
    this.#failure = asIoError(error)
    this.#room?.()
  }
}

/** Writes the leaves from an index's cursor on, read from the log's tiles, and moves the cursor behind them, durably. */
export async function indexStep(index: LeafIndex, reader: TileReader, end: number): Promise<void> {
  const begin = index.cursor
  const indexes = Array.from({ length: end - begin }, (_, i) => begin + i)
  const hashes = await reader.leafHashes(indexes)
  const leaves = hashes.map((hash, i) => ({ hash: hash!, index: begin + i }))
  await writeLeaves(index, leaves, true)
  await index.moveCursor(end)
}

/** Adds leaves to an index, leaving alone those that it holds with a lower index. */
export async function writeLeaves(
  index: LeafIndex,
  leaves: readonly { hash: Uint8Array; index: number }[],
  mayRepeat: boolean,
): Promise<void> {
  await index.write(mayRepeat ? await withoutKnown(index, leaves) : leaves)
}

async function withoutKnown(
  index: LeafIndex,
  leaves: readonly { hash: Uint8Array; index: number }[],
): Promise<{ hash: Uint8Array; index: number }[]> {
  const slab = new Uint8Array(leaves.length * HASH_BYTES)
  leaves.forEach((leaf, i) => slab.set(leaf.hash, i * HASH_BYTES))
  const known = await index.lookup(slab)
  const lower = leaves.filter((leaf, i) => known[i] === undefined || known[i] > leaf.index)
  // Within one write the last put wins, and the lowest index should.
  return lower.toReversed()
}

function asIoError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('io_error', `leaf index: ${message}`, { cause: error })
}
