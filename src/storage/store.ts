import { equalBytes } from '../bytes/bytes.ts'
import { SteleError, invariant } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { TileHashes } from '../tile/hashes.ts'
import type { FullTile } from '../tile/grow.ts'

/** The newest head of a log in storage: opaque bytes, stored under their tree size. */
export interface StoredHead {
  readonly size: number
  readonly record: Uint8Array
}

/** One step from a committed state to the next. */
export interface Commit {
  /** The size before this step. The commit fails with `stale_size` if the store has another size. */
  readonly from: number
  /** Entries with the indexes `from`, `from + 1`, …; empty when a head is only re-signed. */
  readonly entries: readonly Uint8Array[]
  /** The tiles that became full in this step, as `growTree` lists them. */
  readonly tiles: readonly FullTile[]
  /** The head that covers all of it; its size is `from + entries.length`. */
  readonly head: StoredHead
}

/** Level and index of a full tile. */
export interface FullTileId {
  readonly level: number
  readonly index: number
}

/** An entry as it was committed, and its leaf hash in the signed tree. */
export interface EntryRepair {
  readonly index: number
  readonly entry: Uint8Array
  readonly leafHash: Hash
}

/** A full tile as it was committed, and its hash in the signed tree one level up. */
export interface TileRepair extends FullTileId {
  /** 8,192 bytes. */
  readonly hashes: Uint8Array
  readonly root: Hash
}

/** Content to write again where the disk has lost or changed it. */
export interface Repair {
  readonly entries: readonly EntryRepair[]
  readonly tiles: readonly TileRepair[]
}

/** The place of anything that is stored. */
export type StoredId =
  | { readonly kind: 'entry'; readonly index: number }
  | ({ readonly kind: 'tile' } & FullTileId)
  | { readonly kind: 'head'; readonly size: number }

/** The content of one place: bytes, nothing, or an error if it is too damaged to be read (`corrupt`). */
export type Inspected = Uint8Array | undefined | SteleError

/** A range of positions whose content cannot be read, because a part of a file is damaged. */
export interface FileFault {
  /** Entry indexes, and heads and tiles of these positions: [begin, end). */
  readonly begin: number
  readonly end: number
  /** File and offset, and the kind of content. */
  readonly place: string
  readonly message: string
}

/** The result of reading files again. */
export interface CheckedFiles {
  readonly bytesRead: number
  /** All known damage that begins at one of the requested positions, in their order. */
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
 * The durable state of one log: entries, full tiles, heads. Partial tiles are not stored: opening the log rebuilds them
 * from at most 255 entries and 255 tiles a level.
 *
 * Every implementation guarantees, and `test/storage/contract.ts` checks:
 * - a commit is atomic: after any crash either all of it is there or nothing;
 * - committed content never changes, and the size never shrinks; `repair` restores content that the disk has changed;
 * - reads see committed states only, and never wait for a commit.
 *
 * A caller may not assume that a rejected commit left nothing behind (see `commit`), or that the content it reads is
 * undamaged. Disks decay, so readers check hashes.
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
   * Entries [begin, end) in order. Fewer if `maxBytes` is used up, but at least one if the range is not empty.
   *
   * @throws SteleError `corrupt` naming the first index that should be there and is not
   */
  readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]>

  /** The 8,192 bytes of each full tile; undefined for a missing one. */
  readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]>

  /**
   * Writes committed entries and full tiles again whose stored bytes are damaged. The caller has the hashes from the
   * signed head; bytes that do not match them are a bug and change nothing. Heads and the size stay as they are, and
   * commits may go on meanwhile.
   *
   * Atomic, and durable once it resolves. A failed write has the same consequences as in `commit`.
   *
   * @throws SteleError `out_of_range` for anything that was not committed; `internal` for bytes that do not match their
   *   hash; after both nothing was written
   */
  repair(repair: Repair): Promise<void>

  /**
   * The stored content of each of these places, for checks. It bypasses the caches, and reads each place separately, so
   * that an unreadable one does not hide the others.
   *
   * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
   */
  inspect(places: readonly StoredId[]): Promise<Inspected[]>

  /**
   * Reads all files again in which content of positions [begin, end) begins, and compares them with their checksums. A
   * store with this method does not read known damage: readers get `corrupt`.
   *
   * @param between awaited after each read of some hundred KiB
   * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
   */
  checkFiles?(begin: number, end: number, between: () => Promise<void>): Promise<CheckedFiles>

  /** Why commits are refused; undefined while they are accepted. */
  readonly failure: SteleError | undefined

  close(): Promise<void>
}

/**
 * Checks a step before any engine writes it: it grows from the committed size, and its head covers exactly its entries.
 *
 * @param size the committed size, or -1 before the first commit
 * @throws SteleError `stale_size` for a commit that starts from another size: there is a second writer
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
