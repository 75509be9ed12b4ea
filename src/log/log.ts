import { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { formatProofFile } from '../note/proof-file.ts'
import { encodeBundle } from '../tile/bundle.ts'
import type { TileId } from '../tile/path.ts'
import { proveInclusion } from '../tile/prove.ts'
import { Admission, type Placement } from './admission.ts'
import type { SignedHead } from './head.ts'
import { Indexer, LeafFinder } from './leaf-index.ts'
import { Lifecycle, type FreezeRequest } from './lifecycle.ts'
import { UNOBSERVED } from './observer.ts'
import type { LogOptions, LogParts, LogStatus, StoredParts, Verified } from './options.ts'
import { EarlierRoots, Publisher } from './publisher.ts'
import { TileReader } from './reader.ts'
import { Sequencer, SignedTree } from './sequencer.ts'
import { HeadClock } from './signer.ts'
import { PendingLeaves } from './submission.ts'

export type { LogOptions, LogParts, LogStatus } from './options.ts'
export type { Witnessing } from './publisher.ts'

/** Where entries went, and the size of a signed tree that covers them. */
export interface Appended {
  /** One for each entry that was appended, in that order. */
  readonly placements: readonly Placement[]
  /** Size of a tree that is signed, on disk, and covers all of them. Readers may not be shown it yet: see `whenPublishedPast`. */
  readonly treeSize: number
}

/**
 * One log: the write path from bytes to a signed head, and the read path back. Made by `openLog`, which first verifies what is
 * stored. The constructor wires the write path: an append goes from `Admission` to `Sequencer`, which hands integrated heads to
 * `Publisher` and integrated leaves to `Indexer`; `Lifecycle` says what is admitted and signed.
 */
export class Log {
  /** First line of its checkpoints. */
  readonly origin: string
  readonly #parts: LogParts
  readonly #allowDuplicates: boolean
  readonly #clock: HeadClock
  readonly #tree: SignedTree
  readonly #reader: TileReader
  readonly #pending = new PendingLeaves()
  readonly #indexer: Indexer
  readonly #finder: LeafFinder
  readonly #admission: Admission
  readonly #lifecycle: Lifecycle
  readonly #publisher: Publisher
  readonly #sequencer: Sequencer
  readonly #earlierRoots: EarlierRoots
  #closing: Promise<void> | undefined

  /** @internal Made by `openLog`. */
  constructor(parts: LogParts, options: LogOptions, verified: Verified) {
    const { store, headFile, index, signer, witnessing, observer = UNOBSERVED } = parts
    const { allowDuplicates, headIntervalMs } = options
    const { head, published } = verified
    this.origin = parts.origin
    this.#parts = parts
    this.#allowDuplicates = allowDuplicates
    const lastMs = Math.max(head.timestampMs, verified.signedUntilMs)
    const clock = (this.#clock = new HeadClock(lastMs, options, witnessing?.cosigner))
    const tree = (this.#tree = new SignedTree(store, signer, clock, verified))
    const reader = (this.#reader = new TileReader(store, () => tree.tree, options.cacheBytes))
    this.#earlierRoots = new EarlierRoots(reader)
    const pending = this.#pending
    const indexer = (this.#indexer = new Indexer({
      index,
      reader,
      pending,
      observer,
      size: head.size,
      mayRepeat: allowDuplicates,
      step: options.indexing?.step,
    }))
    const finder = (this.#finder = new LeafFinder(index, reader, pending, indexer))
    const limits = options.pool
    const queue = { limits, allowDuplicates, clock, pending, finder, indexer, observer }
    const admission = (this.#admission = new Admission(queue))
    const lifecycle = (this.#lifecycle = new Lifecycle(admission, clock, head, {
      witnessed: witnessing !== undefined,
      headIntervalMs,
      keysSinceMs: signer.sinceMs,
    }))
    const publisher = (this.#publisher = new Publisher(published, lifecycle, reader, witnessing))
    const path = { tree, headFile, head, clock, admission, lifecycle, publisher, indexer, observer }
    this.#sequencer = new Sequencer(path)
    publisher.publish(head)
  }

  /** Resolves with the reason when this log halts; reads go on until it is closed. */
  get halted(): Promise<SteleError> {
    return this.#lifecycle.halted
  }

  /** Resolves once it is known whether this log takes entries: at once, or when its witnesses have answered. */
  get started(): Promise<void> {
    return this.#lifecycle.started
  }

  /**
   * Appends entries: those that are not in the log yet get consecutive indexes in one atomic commit.
   *
   * @param entries each of 0 to 65,535 bytes, which the caller has checked
   * @param caller whose share of the queue they count against
   * @returns once all of them are integrated: on disk, and covered by a signed head
   * @throws SteleError `overloaded`, `rate_limited`, `shutting_down`, `log_halted`, `index_behind`, `frozen` when nothing was logged;
   *   `outcome_unknown` when that cannot be said, and repeating is safe
   */
  async append(entries: readonly Uint8Array[], caller = ''): Promise<Appended> {
    const placements = await this.#admission.submit(entries, caller)
    return { placements, treeSize: this.integrated.size }
  }

  /**
   * Freezes the log permanently: commits what was admitted, then, in one commit, the last entry, if there is one, and the final
   * record, after which no entry follows. Reads, proofs and re-signing of the same tree go on. Repeating it is safe, and gives a log
   * that was frozen without a successor one.
   *
   * @returns the final head, once it is integrated
   * @throws SteleError `usage` for a successor that is no URL; `already_exists` if it is frozen with another successor,
   *   or being frozen; `log_halted`, `shutting_down`; `outcome_unknown`
   */
  async freeze(request: FreezeRequest = {}): Promise<SignedHead> {
    await this.#lifecycle.freeze(request)
    return this.integrated
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#sequencer.integrated
  }

  /** The head that readers are shown; everything below its size can be read. */
  get published(): SignedHead {
    return this.#publisher.published
  }

  /** True once the published size is past `size`, false when the signal was aborted first. */
  whenPublishedPast(size: number, signal: AbortSignal): Promise<boolean> {
    return this.#publisher.whenPast(size, signal)
  }

  /**
   * The index of a published leaf, the lowest if there are several; undefined when there is none.
   *
   * @throws SteleError `index_behind` where that cannot be said yet
   */
  async findLeaf(hash: Hash): Promise<number | undefined> {
    const index = await this.#finder.find(hash)
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
   * Entries [begin, end) as the store has them, fewer if `maxBytes` is used up, at least one. `checkedEntries` compares them with
   * the tree.
   *
   * @throws SteleError `not_found` beyond the published size
   */
  readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]> {
    this.#checkPublished(end, `entries ${begin} to ${end}`)
    return this.#parts.store.readEntries(begin, end, maxBytes)
  }

  /**
   * Entries [begin, end) that are on disk, including those that readers are not shown yet. For the program that wrote them.
   *
   * @throws SteleError `not_found` beyond the integrated size
   * @internal
   */
  readIntegrated(begin: number, end: number): Promise<Uint8Array[]> {
    if (end > this.integrated.size) {
      throw new SteleError(
        'not_found',
        `entries ${begin} to ${end}: the tree has ${this.integrated.size} leaves`,
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
   * The inclusion proof of a leaf (RFC 6962 section 2.1.1), checked before it is returned: against the published root hash,
   * or against the root hash of an earlier size that leads to it. The check costs some twenty hashes.
   *
   * @param size of the tree; default: the published one
   * @param leaf its hash, where the caller has it; default: as stored
   * @throws SteleError `out_of_range` unless 0 <= index < size <= published size; `corrupt` for a proof that does not lead
   *   from this leaf to the root hash, because stored tiles are damaged or `leaf` is the hash of another entry
   */
  async proveInclusion(index: number, size = this.published.size, leaf?: Hash): Promise<Hash[]> {
    const { published } = this
    if (index >= size || size > published.size) {
      const what = size > published.size ? `tree size ${size}` : `index ${index} in a tree of ${size}`
      throw new SteleError('out_of_range', `${what}: the published tree has ${published.size} leaves`)
    }
    const path = await proveInclusion(this.#reader, index, size)
    const root = size === published.size ? published.root : await this.rootAt(size)
    const hash = leaf ?? (await this.readLeafHashes([index]))[0]!
    try {
      verifyInclusion({ index, size, leaf: hash, path, root })
    } catch (cause) {
      const message = `leaf ${index}: its proof does not lead to the root at size ${size}`
      throw new SteleError('corrupt', message, { cause })
    }
    return path
  }

  /**
   * The c2sp.org/tlog-proof file of an entry: its inclusion proof, checked as by `proveInclusion`, and the published
   * checkpoint. With the entry and the log's verifier key it is all that is needed to verify offline, years later.
   *
   * @param leaf as for `proveInclusion`
   * @throws SteleError as `proveInclusion`
   */
  async proofFile(index: number, leaf?: Hash): Promise<string> {
    const { size, checkpoint } = this.published
    const path = await this.proveInclusion(index, size, leaf)
    return formatProofFile({ index, path, checkpoint })
  }

  /**
   * The proof that the tree of `newSize` leaves extends the one of `oldSize`, checked against the published root; empty
   * for equal sizes and for 0.
   *
   * @throws SteleError `out_of_range`; `corrupt` when the stored tiles do not lead to the published root
   */
  async proveConsistency(oldSize: number, newSize: number): Promise<Hash[]> {
    this.#checkSize(newSize)
    return this.#earlierRoots.proveConsistency(oldSize, newSize, this.published)
  }

  /**
   * The root hash of the first `size` leaves, proven to be a prefix of the published tree.
   *
   * @throws SteleError `out_of_range`; `corrupt` when the stored tiles do not lead to the published root
   */
  async rootAt(size: number): Promise<Hash> {
    this.#checkSize(size)
    return this.#earlierRoots.at(size, this.published)
  }

  /** What the log is doing at the moment. */
  get status(): LogStatus {
    const { state, failure, signs } = this.#lifecycle
    const { quota } = this.#admission
    const early = signs ? this.#clock.tooEarly() : undefined
    const behind = state === 'serving' && !this.#allowDuplicates ? this.#indexer.behind : undefined
    return {
      state: state !== 'serving' ? state : early ? 'halted' : behind ? 'indexing' : state,
      reason: (failure ?? early ?? behind)?.message,
      queuedEntries: quota.entries,
      queuedBytes: quota.bytes,
      // Infinity where nothing waits.
      oldestWaitingMs: Math.max(0, this.#clock.nowMs() - this.#sequencer.oldestMs),
      writePendingMs: this.#sequencer.writePendingMs,
      indexLag: this.#indexer.lag,
      pendingLeaves: this.#pending.size,
      commits: this.#sequencer.commits,
      unpublished: this.#publisher.failure?.message,
    }
  }

  /**
   * What a scrubber compares with what: all that is stored, and the tree that was verified at opening and grew since.
   *
   * @internal
   */
  get stored(): StoredParts {
    const { origin, store, index, signer } = this.#parts
    return {
      origin,
      store,
      index,
      verifyHead: (head) => signer.verify(head),
      tree: () => this.#tree.tree,
    }
  }

  /** Why this log takes no writes, or undefined while it does. */
  get failure(): SteleError | undefined {
    return this.#lifecycle.failure
  }

  /** Refuses new entries, commits and answers what was admitted, brings the index up to date, closes the files. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    this.#lifecycle.close()
    await this.#sequencer.drained()
    await this.#publisher.close()
    await this.#indexer.drained()
    await Promise.allSettled([
      this.#parts.store.close(),
      this.#parts.index.close(),
      this.#parts.headFile.close(),
    ])
    this.#lifecycle.closed()
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
