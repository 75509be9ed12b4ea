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
    const oldRoot = await rootAt(this.#tiles, size)
    const path = await proveConsistency(this.#tiles, size, signed.size)
    try {
      verifyConsistency({ oldSize: size, newSize: signed.size, oldRoot, newRoot: signed.root, path })
    } catch (cause) {
      throw new SteleError(
        'corrupt',
        `tree size ${size}: the stored tiles do not lead from it to the root signed at size ${signed.size}`,
        { cause },
      )
    }
    // A copy: the hash may be a view into a tile of 16 KiB, which would stay in memory with it.
    const root = oldRoot.slice() as Hash
    this.#roots.set(size, root)
    return root
  }
}
