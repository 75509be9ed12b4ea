import { LRUCache } from 'lru-cache'
import { SteleError } from '../errors.ts'
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { proveConsistency, rootAt, type TileSource } from '../tile/prove.ts'
import type { Head } from './head.ts'

/** Sizes that are remembered, 32 bytes each: those that many ask for. */
const MOST_KEPT = 8192

/**
 * Root hashes at sizes below a signed one. Each was computed from tiles, and then proven to be a prefix of the signed
 * tree: a root out of the same damaged tile as a proof would agree with it and say nothing.
 */
export class EarlierRoots {
  readonly #tiles: TileSource
  readonly #roots = new LRUCache<number, Hash>({ max: MOST_KEPT })

  constructor(tiles: TileSource) {
    this.#tiles = tiles
  }

  /**
   * The root of the first `size` leaves.
   *
   * @param signed a head of at least that size; all heads that this is called with extend each other
   * @throws SteleError `corrupt` when the stored tiles do not lead to the signed root
   */
  async at(size: number, signed: Head): Promise<Hash> {
    if (size === signed.size) return signed.root
    if (size === 0) return EMPTY_ROOT
    const known = this.#roots.get(size)
    if (known) return known
    return (await this.#prove(size, signed)).oldRoot
  }

  /**
   * The consistency proof between two sizes, checked: it leads to the signed root, or to an earlier one that does. Empty for
   * equal sizes and from 0.
   *
   * @param signed a head of at least the new size
   * @throws SteleError `out_of_range` unless oldSize <= newSize; `corrupt`
   */
  async proveConsistency(oldSize: number, newSize: number, signed: Head): Promise<Hash[]> {
    // Any tree extends the empty one; RFC 6962 defines no proof for it.
    if (oldSize === 0) return []
    if (oldSize === newSize) return proveConsistency(this.#tiles, oldSize, newSize)
    return (await this.#prove(oldSize, { size: newSize, root: await this.at(newSize, signed) })).path
  }

  /** Proves an earlier tree to be a prefix of one whose root is known to be right. */
  async #prove(
    oldSize: number,
    { size: newSize, root: newRoot }: Pick<Head, 'size' | 'root'>,
  ): Promise<{ path: Hash[]; oldRoot: Hash }> {
    const path = await proveConsistency(this.#tiles, oldSize, newSize)
    const oldRoot = await rootAt(this.#tiles, oldSize)
    try {
      verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })
    } catch (cause) {
      throw new SteleError(
        'corrupt',
        `tree size ${oldSize}: the stored tiles do not lead from it to the root at size ${newSize}`,
        { cause },
      )
    }
    // A copy: the hash may be a view into a tile of 16 KiB, which would stay in memory with it.
    this.#roots.set(oldSize, oldRoot.slice() as Hash)
    return { path, oldRoot }
  }
}
