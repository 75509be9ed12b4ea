import { setImmediate as nextTurn } from 'node:timers/promises'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { HASH_BYTES, leafHash, type Hash } from '../merkle/hash.ts'
import type { IndexedLeaf, LeafIndex } from '../storage/leaf-index.ts'
import { levelError } from '../storage/level-open.ts'
import type { LogStore } from '../storage/store.ts'
import type { LogObserver } from './observer.ts'
import type { TileReader } from './reader.ts'
import { hashesOf, leafKey, type PendingLeaf, type PendingLeaves } from './submission.ts'

/** Leaves between two synced moves of the cursor: at 24 + 8 bytes each, what is replayed after a crash. */
const CURSOR_STEP = 32_768
/** Leaves of one write to the index. */
const WRITE_STEP = 4096
/** How long leaves gather for one write: one for each commit would cost half as much as the commit itself. */
const GATHER_MS = 25
/** An index that has nothing to write for this long is synced. */
const IDLE_MS = 1000
/** The sequencer waits while the index is this far behind, which bounds the pending leaves in memory. */
const MAX_LAG = 65_536
/** Leaf hashes of one round of look-ups, which bounds how long one call keeps a thread of libuv's pool busy. */
const MAX_ROUND = 8192

/** How an index that lacks leaves is completed. */
export interface Indexing {
  /** Up to this many missing leaves are written before the log is open; with more, all of them are written behind the open log. */
  readonly atOpening: number
  /** Leaves of one durable step, after which the cursor moves. A multiple of 256 reads each tile once. */
  readonly step: number
}

/**
 * A crash leaves up to `CURSOR_STEP` leaves, and under full load those of the queue, to be written at the next opening, which takes
 * about a second. A step of 8192 leaves keeps a thread of libuv's pool as busy as one round of look-ups does.
 */
export const INDEXING: Indexing = { atOpening: CURSOR_STEP + MAX_LAG, step: 8192 }

/**
 * Writes the leaf index behind the commits. Owner of the index's cursor. The index of an idle log is synced within a second. An
 * index that lacks more leaves than a crash can leave, because its folder was lost, is first completed from the log's tiles, in
 * durable steps: a crash meanwhile costs one step.
 */
export class Indexer {
  readonly #index: LeafIndex
  readonly #reader: TileReader
  readonly #pending: PendingLeaves
  readonly #observer: LogObserver
  readonly #step: number
  /** True when a leaf may be in the index already with a lower index, which then stays. */
  readonly #mayRepeat: boolean
  #queue: PendingLeaf[] = []
  /** Leaves with indexes below this are in the index. */
  #written: number
  /** All leaves below this are committed, and are to be in the index. */
  #handed: number
  /** The index is completed from tiles up to here, and from the queue after that; undefined once it is complete. */
  #completeTo: number | undefined
  readonly #begun: { readonly atMs: number; readonly written: number }
  #completing: Promise<void> | undefined
  #stopped = false
  #running: Promise<void> | undefined
  #gathering: NodeJS.Timeout | undefined
  #idle: NodeJS.Timeout | undefined
  #room: (() => void) | undefined
  #failure: SteleError | undefined
  #resolveLost!: (failure: SteleError) => void
  /** Resolves when an incomplete index cannot be completed: then it cannot be said of any leaf that it is not in the log. */
  readonly lost: Promise<SteleError> = new Promise((resolve) => (this.#resolveLost = resolve))

  constructor(parts: {
    index: LeafIndex
    /** Reads the leaf hashes that the index lacks; first used after the constructor has returned. */
    reader: TileReader
    pending: PendingLeaves
    observer: LogObserver
    /** The size of the log. */
    size: number
    mayRepeat: boolean
    step?: number | undefined
  }) {
    this.#index = parts.index
    this.#reader = parts.reader
    this.#pending = parts.pending
    this.#observer = parts.observer
    this.#written = parts.index.cursor
    this.#handed = parts.size
    this.#mayRepeat = parts.mayRepeat
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
  follow(leaves: readonly PendingLeaf[]): void {
    this.#handed += leaves.length
    if (this.#completeTo !== undefined && this.#queue.length === 0 && this.lag > 2 * this.#step) {
      // These are read from the tiles later, and memory does not hold them until then. Near the end they queue, so that
      // completing does come to an end.
      this.#completeTo = this.#handed
      return this.#pending.remove(leaves)
    }
    for (const leaf of leaves) this.#queue.push(leaf)
    this.#next()
  }

  /**
   * Resolves when there is room for more.
   *
   * @throws SteleError `io_error` when the index can no longer be written
   */
  async room(): Promise<void> {
    while (this.#handed - Math.max(this.#written, this.#completeTo ?? 0) > MAX_LAG && !this.#failure) {
      await new Promise<void>((resolve) => (this.#room = resolve))
    }
    if (this.#failure) throw this.#failure
  }

  /**
   * Resolves when all that was handed over is in the index, durably, or cannot be written. An index that is being completed stays
   * incomplete; the next opening goes on with it.
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

  /** Gives requests their turn between its steps. */
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
      this.#resolveLost(this.#failure!)
    }
  }

  /** Starts a write when enough leaves wait, and otherwise leaves them time to gather. */
  #next(): void {
    // Nothing is written after leaves that could not be written: the cursor must not pass them.
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
    await writeLeaves(this.#index, leaves as (PendingLeaf & IndexedLeaf)[], this.#mayRepeat)
    this.#written += leaves.length
    this.#pending.remove(leaves)
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
    this.#failure = indexError(error)
    this.#room?.()
  }
}

interface LookUp {
  readonly leafHashes: Uint8Array
  readonly resolve: (indexes: (number | undefined)[]) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Finds leaves by their hash. While one round of look-ups runs the next one gathers, so that many callers with one leaf each cost
 * one call of the index.
 */
export class LeafFinder {
  readonly #index: LeafIndex
  readonly #reader: TileReader
  readonly #pending: PendingLeaves
  readonly #indexer: Indexer
  #waiting: LookUp[] = []
  #running = false

  constructor(index: LeafIndex, reader: TileReader, pending: PendingLeaves, indexer: Indexer) {
    this.#index = index
    this.#reader = reader
    this.#pending = pending
    this.#indexer = indexer
  }

  /**
   * The index of an integrated leaf, the lowest if there are several; undefined when there is none.
   *
   * @throws SteleError `index_behind` when it is not found, and may be in the log
   */
  async find(hash: Hash): Promise<number | undefined> {
    // Read before the look-up: a leaf that the look-up misses may be written to the index while it runs.
    const { behind } = this.#indexer
    const pending = this.#pending.get(leafKey(hash))
    if (pending?.index !== undefined && !behind) return pending.index
    const [index] = await this.lookUp(hash)
    if (index === undefined && behind) throw behind
    return index
  }

  /** The index of each leaf hash of the slab, checked against the stored tile; undefined if it is not indexed. */
  lookUp(leafHashes: Uint8Array): Promise<(number | undefined)[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ leafHashes, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) await this.#round(this.#takeRound())
    this.#running = false
  }

  #takeRound(): LookUp[] {
    let hashes = 0
    const over = this.#waiting.findIndex(
      (lookUp, i) => (hashes += lookUp.leafHashes.length / HASH_BYTES) > MAX_ROUND && i > 0,
    )
    return this.#waiting.splice(0, over < 0 ? this.#waiting.length : over)
  }

  async #round(lookUps: readonly LookUp[]): Promise<void> {
    try {
      const slab = lookUps.length === 1 ? lookUps[0]!.leafHashes : joined(lookUps)
      const found = await this.#verified(slab, await this.#index.lookup(slab))
      let at = 0
      for (const { leafHashes, resolve } of lookUps) {
        resolve(found.slice(at, (at += leafHashes.length / HASH_BYTES)))
      }
    } catch (error) {
      for (const { reject } of lookUps) reject(error)
    }
  }

  /** Drops each answer of the index, which may be damaged, unless the log's own tile holds that very hash. */
  async #verified(slab: Uint8Array, candidates: (number | undefined)[]): Promise<(number | undefined)[]> {
    const hits = candidates.flatMap((index, i) => (index === undefined ? [] : [{ index, i }]))
    if (hits.length === 0) return candidates
    const stored = await this.#reader.leafHashes(hits.map(({ index }) => index))
    const verified: (number | undefined)[] = candidates.map(() => undefined)
    hits.forEach(({ index, i }, n) => {
      const hash = slab.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
      if (stored[n] && equalBytes(stored[n], hash)) verified[i] = index
    })
    return verified
  }
}

function joined(lookUps: readonly LookUp[]): Uint8Array {
  return Buffer.concat(lookUps.map(({ leafHashes }) => leafHashes))
}

/** Writes the leaves from an index's cursor on, read from the log's tiles, and moves the cursor past them, durably. */
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
  leaves: readonly IndexedLeaf[],
  mayRepeat: boolean,
): Promise<void> {
  await index.write(mayRepeat ? await withoutKnown(index, leaves) : leaves)
}

async function withoutKnown(index: LeafIndex, leaves: readonly IndexedLeaf[]): Promise<IndexedLeaf[]> {
  const known = await index.lookup(hashesOf(leaves))
  const lower = leaves.filter((leaf, i) => known[i] === undefined || known[i] > leaf.index)
  // Within one write the last put wins, and the lowest index should.
  return lower.toReversed()
}

/** A leaf that the index does not lead to. */
export interface IndexFault {
  readonly index: number
  /** What the index says instead. */
  readonly found: number | undefined
}

/**
 * Looks leaves up, and returns those that are not found where they are. A leaf at or after the index's cursor may be missing: it is
 * written later, or when the log is opened next.
 *
 * @param leaves index and leaf hash of each, in any order
 * @throws SteleError `corrupt` where the index cannot be read, `io_error`
 */
export async function checkIndexed(
  index: Pick<LeafIndex, 'cursor' | 'lookup'>,
  store: Pick<LogStore, 'inspect'>,
  leaves: readonly IndexedLeaf[],
): Promise<IndexFault[]> {
  const { cursor } = index
  const answers = await index.lookup(hashesOf(leaves), { fillCache: false }).catch((error: unknown) => {
    throw levelError('leaf index', error)
  })
  const faults: IndexFault[] = []
  for (const [i, leaf] of leaves.entries()) {
    const found = answers[i]
    if (found === leaf.index || (found === undefined && leaf.index >= cursor)) continue
    if (found !== undefined && (await isLowerTwin(store, found, leaf))) continue
    faults.push({ index: leaf.index, found })
  }
  return faults
}

/** Of equal leaves, where a log has them, look-ups answer the lowest. */
async function isLowerTwin(
  store: Pick<LogStore, 'inspect'>,
  found: number,
  leaf: IndexedLeaf,
): Promise<boolean> {
  if (found > leaf.index) return false
  const [entry] = await store.inspect([{ kind: 'entry', index: found }])
  return entry instanceof Uint8Array && equalBytes(leafHash(entry), leaf.hash)
}

/** A failure of the leaf index as `io_error`, unless it has a code already. */
export function indexError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('io_error', `leaf index: ${message}`, { cause: error })
}
