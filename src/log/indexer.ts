import { SteleError } from '../errors.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'
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
 * Writes the leaf index behind the commits: a follower. Owner of the index's cursor. An idle log's index is
 * synced within a second.
 */
export class Indexer {
  readonly #index: LeafIndex
  readonly #observer: LogObserver
  readonly #forget: (leaves: readonly LiveLeaf[]) => void
  /** True when a leaf may be in the index already with a lower index, which then stays. */
  readonly #mayRepeat: boolean
  #queue: LiveLeaf[] = []
  /** Leaves handed over and not written yet. */
  #lag = 0
  /** Leaves with indexes below this are in the index. */
  #written: number
  #running: Promise<void> | undefined
  #gathering: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #room: (() => void) | undefined
  #failure: SteleError | undefined

  constructor(parts: {
    index: LeafIndex
    /** The size up to which the index is complete. */
    next: number
    mayRepeat: boolean
    forget: (leaves: readonly LiveLeaf[]) => void
    observer?: LogObserver
  }) {
    this.#index = parts.index
    this.#observer = parts.observer ?? UNOBSERVED
    this.#written = parts.next
    this.#mayRepeat = parts.mayRepeat
    this.#forget = parts.forget
  }

  /** How many committed leaves are not in the index yet. */
  get lag(): number {
    return this.#lag
  }

  /** Takes over leaves that were just committed, in the order of their indexes. Never waits. */
  follow(leaves: readonly LiveLeaf[]): void {
    for (const leaf of leaves) this.#queue.push(leaf)
    this.#lag += leaves.length
    this.#next()
  }

  /**
   * Resolves when there is room for more.
   *
   * @throws SteleError `io_error` when the index cannot be written any more
   */
  async room(): Promise<void> {
    while (this.#lag > MAX_LAG && !this.#failure) {
      await new Promise<void>((resolve) => (this.#room = resolve))
    }
    if (this.#failure) throw this.#failure
  }

  /** Resolves when all that was handed over is in the index, durably, or cannot be written any more. */
  async drained(): Promise<void> {
    while (this.#running || (this.#queue.length > 0 && !this.#failure)) {
      this.#start()
      await this.#running
    }
    clearTimeout(this.#idle)
    await this.#moveCursor()
  }

  /** Writes now what is worth it, and the rest when it had time to gather. */
  #next(): void {
    // Behind leaves that could not be written nothing is: the cursor must not pass them.
    if (this.#running || this.#failure || this.#queue.length === 0) return
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
    this.#lag -= leaves.length
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
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('io_error', `leaf index: ${message}`, { cause: error })
}
