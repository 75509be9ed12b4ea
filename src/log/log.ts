import { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import type { HeadFile } from '../storage/head-file.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import type { LogStore } from '../storage/store.ts'
import { encodeBundle } from '../tile/bundle.ts'
import type { Tree } from '../tile/grow.ts'
import type { TileId } from '../tile/path.ts'
import { proveConsistency, proveInclusion } from '../tile/prove.ts'
import type { SignedHead } from './head.ts'
import { Indexer } from './indexer.ts'
import { Intake, type Placement } from './intake.ts'
import { LeafFinder } from './leaf-finder.ts'
import { Pool, type PoolLimits } from './pool.ts'
import { Publisher, type HeadCosigner, type Publication, type PublishedStore } from './publisher.ts'
import { TileReader } from './reader.ts'
import { Sealer } from './sealer.ts'
import { Sequencer, unknownOutcome } from './sequencer.ts'
import type { HeadSigner } from './signer.ts'
import type { LiveLeaf, Unit } from './unit.ts'

/** What one log can be told; `proto-docs/configuration.md` has the defaults and what they cost. */
export interface LogOptions {
  readonly pool: PoolLimits
  /** Every entry becomes a leaf of its own, also when the same bytes are in the log. */
  readonly allowDuplicates: boolean
  /** An idle log signs its head anew after this long, so that quiet can be told from dead. */
  readonly headIntervalMs: number
  /** Memory for tiles that proofs read again and again. */
  readonly cacheBytes: number
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
}

/** The durable parts of a log, opened; the log closes them. */
export interface LogParts {
  readonly origin: string
  readonly store: LogStore
  readonly headFile: HeadFile
  readonly index: LeafIndex
  readonly signer: HeadSigner
  /** For a log whose heads are cosigned before readers see them. */
  readonly witnessing?: Witnessing
}

/** Who cosigns the heads of a log, and what of that outlives a restart. */
export interface Witnessing {
  readonly cosigner: HeadCosigner
  readonly store: PublishedStore
  /** What was published when the log was closed, not verified; undefined the first time. */
  readonly suspect: Uint8Array | undefined
  /** How long to wait before asking again after too few cosigned. */
  readonly retryMs: number
}

/** Where entries went, and the size of a signed tree that covers them. */
export interface Appended {
  readonly placements: readonly Placement[]
  readonly treeSize: number
}

/** What a log is doing, for health and metrics. */
export interface LogStatus {
  /** `confirming`: with witnesses, no entries are taken until they have cosigned the head it was opened with. */
  readonly state: 'confirming' | 'serving' | 'halted' | 'closing' | 'closed'
  /** Why it is halted. */
  readonly reason: string | undefined
  readonly queuedEntries: number
  readonly queuedBytes: number
  readonly indexLag: number
  readonly liveLeaves: number
  readonly commits: number
  /** Why the newest head is not published yet. */
  readonly unpublished: string | undefined
}

/**
 * One log: the write path from bytes to a signed head, and the read path back. Made by `openLog`, which verifies
 * what is stored first.
 */
export class Log {
  readonly origin: string
  readonly #parts: LogParts
  readonly #options: LogOptions
  readonly #pool: Pool
  readonly #intake: Intake
  readonly #sequencer: Sequencer
  readonly #sealer: Sealer
  readonly #indexer: Indexer
  readonly #publisher: Publisher
  readonly #reader: TileReader
  readonly #running: Promise<void>
  #state: LogStatus['state'] = 'serving'
  #failure: SteleError | undefined
  /** The newest head that is in both of its places. */
  #integrated: SignedHead
  #commits = 0
  #signAgain = false
  #closing: Promise<void> | undefined
  /** Somebody has cosigned a larger tree of this log: nothing is signed any more. */
  #contradiction: SteleError | undefined
  readonly #idleTimer: NodeJS.Timeout
  /** Resolves with the reason if this log ever stops taking entries; reads go on until it is closed. */
  readonly halted: Promise<SteleError>
  #sayHalted!: (failure: SteleError) => void

  constructor(
    parts: LogParts,
    options: LogOptions,
    verified: { tree: Tree; head: SignedHead; published: SignedHead; signedUntilMs: number },
  ) {
    this.origin = parts.origin
    this.#parts = parts
    this.#options = options
    this.#pool = new Pool(options.pool, options.nowMs)
    this.#sequencer = new Sequencer({ ...parts, ...verified, nowMs: options.nowMs })
    this.#sealer = new Sealer(parts.headFile)
    this.#integrated = verified.head
    this.#reader = new TileReader(parts.store, () => this.#sequencer.tree, options.cacheBytes)
    this.#intake = new Intake({
      pool: this.#pool,
      finder: new LeafFinder(parts.index, (indexes) => this.#reader.leafHashes(indexes)),
      allowDuplicates: options.allowDuplicates,
    })
    this.#indexer = new Indexer({
      index: parts.index,
      next: verified.tree.size,
      mayRepeat: options.allowDuplicates,
      forget: (leaves) => this.#intake.forget(leaves),
    })
    this.#publisher = new Publisher(verified.published, this.#publication())
    if (parts.witnessing) this.#confirmFirst()
    this.#publisher.publish(verified.head)
    this.halted = new Promise((resolve) => (this.#sayHalted = resolve))
    this.#idleTimer = setTimeout(() => this.#signIdleHead(), this.#idleForMs()).unref()
    this.#running = this.#run()
  }

  /**
   * Appends entries: those that are not in the log yet get consecutive indexes in one atomic commit.
   *
   * @param entries each of 0 to 65,535 bytes, which the caller has checked
   * @param caller whose share of the queue they count against
   * @returns once all of them are integrated: on disk, and covered by a signed head
   * @throws SteleError `overloaded`, `rate_limited`, `shutting_down`, `log_halted` when nothing was logged;
   *   `outcome_unknown` when that cannot be said, and repeating is safe
   */
  async append(entries: readonly Uint8Array[], caller = ''): Promise<Appended> {
    const placements = await this.#intake.submit(entries, caller)
    return { placements, treeSize: this.#integrated.size }
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#integrated
  }

  /** The head that readers are shown; everything below its size can be read. */
  get published(): SignedHead {
    return this.#publisher.published
  }

  /** True once the published size is past `size`, false when the signal was aborted first. */
  whenPublishedPast(size: number, signal: AbortSignal): Promise<boolean> {
    return this.#publisher.whenPast(size, signal)
  }

  /** The index of a published leaf, the lowest if there are several; undefined when there is none. */
  async findLeaf(hash: Hash): Promise<number | undefined> {
    const index = await this.#intake.find(hash)
    return index !== undefined && index < this.published.size ? index : undefined
  }

  /**
   * The hashes of a tile, exactly as wide as asked.
   *
   * @throws SteleError `not_found` beyond the published size
   */
  async readTile(tile: TileId): Promise<Uint8Array> {
    this.#checkPublished(
      (tile.index * 256 + tile.width) * 256 ** tile.level,
      `tile ${tile.level}/${tile.index}`,
    )
    const [hashes] = await this.#reader.readTiles([tile])
    return hashes!.bytes.subarray(0, tile.width * 32)
  }

  /**
   * An entry bundle: entries index * 256 up to index * 256 + width.
   *
   * @throws SteleError `not_found` beyond the published size
   */
  async readBundle(index: number, width: number): Promise<Uint8Array> {
    this.#checkPublished(index * 256 + width, `entry bundle ${index}`)
    return encodeBundle(await this.#parts.store.readEntries(index * 256, index * 256 + width))
  }

  /**
   * Entries [begin, end), fewer if `maxBytes` is used up, at least one.
   *
   * @throws SteleError `not_found` beyond the published size
   */
  readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]> {
    this.#checkPublished(end, `entries ${begin} to ${end}`)
    return this.#parts.store.readEntries(begin, end, maxBytes)
  }

  /**
   * Entries [begin, end) that are on disk, also such as no reader is shown yet: for who wrote them.
   *
   * @throws SteleError `not_found` beyond the integrated size
   */
  readIntegrated(begin: number, end: number): Promise<Uint8Array[]> {
    if (end > this.#integrated.size) {
      throw new SteleError(
        'not_found',
        `entries ${begin} to ${end}: the tree has ${this.#integrated.size} leaves`,
      )
    }
    return this.#parts.store.readEntries(begin, end)
  }

  /** Leaf hashes by index, for indexes below the published size. */
  async readLeafHashes(indexes: readonly number[]): Promise<Hash[]> {
    for (const index of indexes) this.#checkPublished(index + 1, `leaf ${index}`)
    return (await this.#reader.leafHashes(indexes)) as Hash[]
  }

  /**
   * The inclusion proof of a leaf in the tree of `size` leaves.
   *
   * @throws SteleError `out_of_range`
   */
  proveInclusion(index: number, size: number): Promise<Hash[]> {
    this.#checkSize(size)
    return proveInclusion(this.#reader, index, size)
  }

  /**
   * The proof that the tree of `newSize` leaves extends the one of `oldSize`; empty for equal sizes and for 0.
   *
   * @throws SteleError `out_of_range`
   */
  async proveConsistency(oldSize: number, newSize: number): Promise<Hash[]> {
    this.#checkSize(newSize)
    // Any tree extends the empty one; RFC 6962 defines no proof for it.
    if (oldSize === 0) return []
    return proveConsistency(this.#reader, oldSize, newSize)
  }

  get status(): LogStatus {
    return {
      state: this.#state,
      reason: this.#failure?.message,
      queuedEntries: this.#pool.depth,
      queuedBytes: this.#pool.bytes,
      indexLag: this.#indexer.lag,
      liveLeaves: this.#intake.liveLeaves,
      commits: this.#commits,
      unpublished: this.#publisher.failure?.message,
    }
  }

  /** Why this log takes no writes, or undefined while it does. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Refuses new entries, commits and answers what was admitted, brings the index up to date, closes the files. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    if (this.#state !== 'halted') this.#state = 'closing'
    this.#intake.refuse(
      new SteleError('shutting_down', 'the log is stopping; nothing was logged', { retryAfterSeconds: 5 }),
    )
    this.#pool.poke()
    await this.#running
    clearTimeout(this.#idleTimer)
    await this.#sealer.drained()
    await this.#publisher.close()
    await this.#indexer.drained()
    await Promise.allSettled([
      this.#parts.store.close(),
      this.#parts.index.close(),
      this.#parts.headFile.close(),
    ])
    this.#state = 'closed'
  }

  /**
   * The write loop: while one commit is on its way to the disk, the next one gathers in the pool, and the head of the
   * one before is sealed.
   */
  async #run(): Promise<void> {
    while (this.#state !== 'halted') {
      if (!this.#signAgain && !this.#contradiction) await this.#pool.whenFilled()
      const units = this.#pool.take()
      if (this.#contradiction) return this.#halt(units, this.#contradiction)
      if (units.length > 0 || this.#signAgain) await this.#commit(units)
      if (this.#state === 'closing' && this.#pool.depth === 0) return
    }
  }

  async #commit(units: readonly Unit[]): Promise<void> {
    const leaves = units.flatMap((unit) => unit.leaves)
    try {
      await this.#indexer.room()
      this.#signAgain = false
      this.#idleTimer.refresh()
      const head = await this.#sequencer.step(leaves)
      void this.#finish(units, leaves, head)
    } catch (error) {
      this.#halt(units, error)
    }
  }

  /**
   * Seals a committed head, and only then lets anybody know of it. The store comes first, so that after a crash
   * between the two the head file is the one that is behind; one that is ahead always means a rollback.
   */
  async #finish(units: readonly Unit[], leaves: readonly LiveLeaf[], head: SignedHead): Promise<void> {
    try {
      await this.#sealer.seal(head)
    } catch (error) {
      return this.#halt(units, unknownOutcome(error))
    }
    this.#commits++
    this.#integrated = head
    this.#publisher.publish(head)
    this.#indexer.follow(leaves)
    this.#intake.settle(units)
    if (this.#state === 'closing') this.#pool.poke()
  }

  /** No step follows one that failed: what is on disk has to be read back first. Reads go on. */
  #halt(units: readonly Unit[], error: unknown): void {
    const cause = error instanceof SteleError ? error : internalError(error)
    this.#intake.settle(units, cause)
    if (this.#state === 'halted') return
    this.#state = 'halted'
    this.#failure = new SteleError('log_halted', `the log takes no entries: ${cause.message}`, { cause })
    this.#intake.halt(this.#failure)
    clearTimeout(this.#idleTimer)
    this.#sayHalted(this.#failure)
    this.#pool.poke()
  }

  #publication(): Publication | undefined {
    const { witnessing } = this.#parts
    return (
      witnessing && {
        ...witnessing,
        proveConsistency: (oldSize, newSize) =>
          oldSize === 0 ? Promise.resolve([]) : proveConsistency(this.#reader, oldSize, newSize),
        onConfirmed: () => {
          if (this.#state !== 'confirming') return
          this.#state = 'serving'
          this.#intake.accept()
        },
        onContradiction: (error) => {
          this.#contradiction = error
          this.#pool.poke()
        },
      }
    )
  }

  /**
   * A backup that was restored is consistent in itself. Witnesses that saw a newer head are the ones who can tell, so
   * nothing is signed before they were asked.
   */
  #confirmFirst(): void {
    this.#state = 'confirming'
    this.#intake.refuse(
      new SteleError('log_halted', 'the log takes no entries until its witnesses have confirmed its head', {
        retryAfterSeconds: 2,
      }),
    )
  }

  #signIdleHead(): void {
    if (this.#state !== 'serving') return void this.#idleTimer.refresh()
    this.#signAgain = true
    this.#pool.poke()
  }

  #idleForMs(): number {
    // setTimeout takes at most 2^31-1 ms and would fire at once for more.
    return Math.min(this.#options.headIntervalMs, 2 ** 31 - 1)
  }

  #checkPublished(end: number, what: string): void {
    const { size } = this.published
    if (end > size) throw new SteleError('not_found', `${what}: beyond the published tree size ${size}`)
  }

  #checkSize(size: number): void {
    if (size > this.published.size) {
      throw new SteleError(
        'out_of_range',
        `tree size ${size}: the published tree has ${this.published.size} leaves`,
      )
    }
  }
}

function internalError(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `internal error while committing: ${message}`, { cause: error })
}
