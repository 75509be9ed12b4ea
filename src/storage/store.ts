import { equalBytes } from '../bytes/bytes.ts'
import { SteleError, invariant } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { TileHashes } from '../tile/hashes.ts'
import type { FullTile } from '../tile/grow.ts'

/** The newest head of a log as storage keeps it: opaque bytes, filed under the tree size they speak of. */
export interface StoredHead {
  readonly size: number
  readonly record: Uint8Array
}

/** One step from a committed state to the next. */
export interface Commit {
  /** The size this step grows from: the commit fails with `stale_size` where the store is at another. */
  readonly from: number
  /** Entries with the indexes `from`, `from + 1`, …; empty when a head is only re-signed. */
  readonly entries: readonly Uint8Array[]
  /** The tiles that became full in this step, as `growTree` lists them. */
  readonly tiles: readonly FullTile[]
  /** The head that covers all of it; its size is `from + entries.length`. */
  readonly head: StoredHead
}

/** The place of a full tile. */
export interface FullTileId {
  readonly level: number
  readonly index: number
}

/** An entry as it was committed, and the hash that the signed tree has for it. */
export interface EntryRepair {
  readonly index: number
  readonly entry: Uint8Array
  readonly leafHash: Hash
}

/** A full tile as it was committed, and the hash that the signed tree has for it one level up. */
export interface TileRepair extends FullTileId {
  /** 8,192 bytes. */
  readonly hashes: Uint8Array
  readonly root: Hash
}

/** What is put back where the disk has lost or changed it. */
export interface Repair {
  readonly entries: readonly EntryRepair[]
  readonly tiles: readonly TileRepair[]
}

/** The place of anything that is stored. */
export type StoredId =
  | { readonly kind: 'entry'; readonly index: number }
  | ({ readonly kind: 'tile' } & FullTileId)
  | { readonly kind: 'head'; readonly size: number }

/** What is stored in one place: bytes, nothing, or something that is too damaged to be read (`corrupt`). */
export type Inspected = Uint8Array | undefined | SteleError

/** What stands at some positions and cannot be read, because a part of a file is not what was written. */
export interface FileFault {
  /** Entry indexes, and heads and tiles of these positions: [begin, end). */
  readonly begin: number
  readonly end: number
  /** File and offset, and what is in it. */
  readonly place: string
  readonly message: string
}

/** What came of reading files again. */
export interface CheckedFiles {
  readonly bytesRead: number
  /** All that is known and begins at one of the positions asked for, in their order. */
  readonly faults: readonly FileFault[]
}

/** Something that is in a damaged part of a file was to be read: `corrupt`, with the place. */
export class DamagedFileError extends SteleError {
  readonly fault: FileFault

  constructor(fault: FileFault) {
    super('corrupt', fault.message)
    this.fault = fault
  }
}

/**
 * The durable state of one log: entries, full tiles, heads. Partial tiles are not stored, for whoever opens the
 * log rebuilds them from at most 255 entries and 255 tiles a level.
 *
 * What every implementation guarantees, and `test/storage/contract.ts` checks:
 * - a commit is atomic: after any crash either all of it is there or nothing;
 * - what was committed never changes, and the size never goes back; `repair` puts back what rot has changed;
 * - reads see committed states only, and never wait for a commit.
 *
 * What a caller may not assume: that a rejected commit left nothing behind (see `commit`), or that what is
 * read is undamaged. Disks rot; whoever reads checks hashes.
 */
export interface LogStore {
  /** The newest head, or undefined in a store that never saw a commit. */
  readHead(): Promise<StoredHead | undefined>

  /**
   * Resolves once the step is on disk. If it rejects with `stale_size`, nothing was written. If it rejects with
   * anything else the step may or may not be there: the store refuses every later commit until it is reopened.
   */
  commit(step: Commit): Promise<void>

  /**
   * Entries [begin, end) in order; fewer where `maxBytes` is used up, though always at least one of a range that
   * is not empty.
   *
   * @throws SteleError `corrupt` naming the first index that should be there and is not
   */
  readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]>

  /** The 8,192 bytes of each full tile, undefined for one that is not there. */
  readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]>

  /**
   * Writes entries and full tiles again that were committed before, because what is read of them is not what was
   * written. The caller has the hashes from the signed head; bytes that do not make them are a mistake and change
   * nothing. Heads and the size stay as they are, and commits may go on meanwhile.
   *
   * Atomic and durable once it resolves. A write that fails is treated as by `commit`.
   *
   * @throws SteleError `out_of_range` for anything that was not committed; `internal` for bytes that do not make their
   *   hash; after both nothing was written
   */
  repair(repair: Repair): Promise<void>

  /**
   * What is stored in each of these places, for whoever checks it: read past the caches, and each on its own, so that
   * one that cannot be read does not hide the others.
   *
   * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
   */
  inspect(places: readonly StoredId[]): Promise<Inspected[]>

  /**
   * Reads the files again that what stands at positions [begin, end) begins in, all of them, and compares them with their
   * own checksums. Of a store that has this, what is known to be damaged is not read any more: readers get `corrupt`.
   *
   * @param between awaited after each read of some hundred KiB
   * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
   */
  checkFiles?(begin: number, end: number, between: () => Promise<void>): Promise<CheckedFiles>

  /** Why commits are refused, or undefined while they are not. */
  readonly failure: SteleError | undefined

  close(): Promise<void>
}

/**
 * Checks a step before any engine writes it: it grows from the committed size, and its head covers exactly its entries.
 *
 * @param size the committed size, or -1 before the first commit
 * @throws SteleError `stale_size` for a step that grows from another size: its writer is not the only one
 */
export function checkStep(step: Commit, size: number): void {
  const expected = Math.max(size, 0)
  if (step.from !== expected) {
    throw new SteleError('stale_size', `commit: grows from size ${step.from}, the store is at ${expected}`)
  }
  invariant(step.head.size === step.from + step.entries.length, 'a head covers exactly what is committed')
}

/**
 * Checks a repair before any engine writes it: every entry and tile was committed, and its bytes make the hash that the tree has.
 *
 * @param size the committed size
 * @throws SteleError `out_of_range` for something beyond that size; `internal` for bytes that do not make their hash
 */
export function checkRepair({ entries, tiles }: Repair, size: number): void {
  for (const { index, entry, leafHash: expected } of entries) {
    if (index >= size) throw beyond(`entry ${index}`, size)
    invariant(equalBytes(leafHash(entry), expected), `entry ${index} is repaired with other bytes`)
  }
  for (const { level, index, hashes, root } of tiles) {
    if ((index + 1) * 256 ** (level + 1) > size) throw beyond(`tile ${level}/${index}`, size)
    const tile = new TileHashes(hashes)
    const isRight = tile.width === 256 && equalBytes(tile.node(8, 0), root)
    invariant(isRight, `tile ${level}/${index} is repaired with other hashes`)
  }
}

function beyond(what: string, size: number): SteleError {
  return new SteleError('out_of_range', `repair: ${what} is not within the committed size ${size}`)
}
