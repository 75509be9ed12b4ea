import { SteleError, invariant } from '../errors.ts'
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
  /** Entries with the indexes `from`, `from + 1`, …; empty when a head is only signed anew. */
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

/** The place of anything that is stored. */
export type StoredId =
  | { readonly kind: 'entry'; readonly index: number }
  | ({ readonly kind: 'tile' } & FullTileId)
  | { readonly kind: 'head'; readonly size: number }

/** What is stored in one place: bytes, nothing, or something that is too damaged to be read (`corrupt`). */
export type Inspected = Uint8Array | undefined | SteleError

/**
 * The durable state of one log: entries, full tiles, heads. Partial tiles are not stored, for whoever opens the
 * log rebuilds them from at most 255 entries and 255 tiles a level.
 *
 * What every implementation guarantees, and `test/storage/contract.ts` checks:
 * - a commit is atomic: after any crash either all of it is there or nothing;
 * - what was committed never changes, and the size never goes back;
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
   * What is stored in each of these places, for whoever checks it: read past the caches, and each on its own, so that
   * one that cannot be read does not hide the others.
   *
   * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
   */
  inspect(places: readonly StoredId[]): Promise<Inspected[]>

  /** Why commits are refused, or undefined while they are not. */
  readonly failure: SteleError | undefined

  close(): Promise<void>
}

/**
 * What is true of every step, whatever keeps it.
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
