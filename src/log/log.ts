import { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { formatProofFile } from '../note/proof-file.ts'
import { encodeBundle } from '../tile/bundle.ts'
import type { TileId } from '../tile/path.ts'
import { proveConsistency, proveInclusion } from '../tile/prove.ts'
import { EarlierRoots } from './earlier-roots.ts'
import type { SignedHead } from './head.ts'
import type { Placement } from './intake.ts'
import type { LogOptions, LogParts, LogStatus } from './options.ts'
import { Publisher, type Publication } from './publisher.ts'
import { TileReader } from './reader.ts'
import type { StoredParts } from './scrub-parts.ts'
import type { LastWords } from './ending.ts'
import type { Verified } from './writer-parts.ts'
import { Writer } from './writer.ts'

export type { LogOptions, LogParts, LogStatus, Witnessing } from './options.ts'

/** Where entries went, and the size of a signed tree that covers them. */
export interface Appended {
  /** One for each entry that was appended, in that order. */
  readonly placements: readonly Placement[]
  /** Size of a tree that is signed, on disk, and covers all of them. Readers may not be shown it yet: see `whenPublishedPast`. */
  readonly treeSize: number
}

/**
 * One log: the write path from bytes to a signed head, and the read path back. Made by `openLog`, which verifies
 * what is stored first.
 */
export class Log {
  /** First line of its checkpoints. */
  readonly origin: string
  readonly #parts: LogParts
  readonly #writer: Writer
  readonly #publisher: Publisher
  readonly #reader: TileReader
  readonly #earlierRoots: EarlierRoots
  #closing: Promise<void> | undefined
  /** Resolves with the reason if this log ever stops taking entries; reads go on until it is closed. */
  readonly halted: Promise<SteleError>

  /** Resolves once it is known whether this log takes entries: at once, or when its witnesses have answered. */
  readonly settled: Promise<void>

  /** @internal Made by `openLog`. */
  constructor(parts: LogParts, options: LogOptions, verified: Verified) {
    this.origin = parts.origin
    this.#parts = parts
    this.#reader = new TileReader(parts.store, () => this.#writer.tree, options.cacheBytes)
    this.#earlierRoots = new EarlierRoots(this.#reader)
    this.#publisher = new Publisher(verified.published, this.#publication())
    this.#writer = new Writer({
      parts,
      options,
      verified,
      reader: this.#reader,
      onHead: (head) => this.#publisher.publish(head),
    })
    this.halted = this.#writer.halted
    this.settled = this.#writer.settled
    this.#publisher.publish(verified.head)
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
    const placements = await this.#writer.submit(entries, caller)
    return { placements, treeSize: this.integrated.size }
  }

  /**
   * Ends the log for ever: commits what was admitted, then, in one step, a last entry if there is one and the mark that
   * nothing follows. Reads, proofs and signing the same head anew go on. There is no way back. Repeating it is safe, and
   * gives a log that was frozen without a successor one.
   *
   * @returns the final head, once it is integrated
   * @throws SteleError `usage` for a successor that is no URL; `already_exists` if it is frozen with another successor,
   *   or being frozen; `log_halted`, `shutting_down`; `outcome_unknown`
   */
  freeze(lastWords: LastWords = {}): Promise<SignedHead> {
    return this.#writer.freeze(lastWords)
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#writer.integrated
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
    const index = await this.#writer.find(hash)
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
   * Entries [begin, end) that are on disk, also such as no reader is shown yet: for who wrote them.
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
    return { ...this.#writer.status, unpublished: this.#publisher.failure?.message }
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
      tree: () => this.#writer.tree,
    }
  }

  /** Why this log takes no writes, or undefined while it does. */
  get failure(): SteleError | undefined {
    return this.#writer.failure
  }

  /** Refuses new entries, commits and answers what was admitted, brings the index up to date, closes the files. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await this.#writer.stop()
    await this.#publisher.close()
    await this.#writer.drained()
    await Promise.allSettled([
      this.#parts.store.close(),
      this.#parts.index.close(),
      this.#parts.headFile.close(),
    ])
    this.#writer.closed()
  }

  #publication(): Publication | undefined {
    const { witnessing } = this.#parts
    return (
      witnessing && {
        ...witnessing,
        proveConsistency: (oldSize, newSize) =>
          oldSize === 0 ? Promise.resolve([]) : proveConsistency(this.#reader, oldSize, newSize),
        onConfirmed: () => this.#writer.confirmed(),
        onUnanswered: () => {
          if (witnessing.goesOn) this.#writer.confirmed()
        },
        onContradiction: (error) => this.#writer.contradict(error),
      }
    )
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
