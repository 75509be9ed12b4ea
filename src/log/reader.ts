import { LRUCache } from 'lru-cache'
import { SteleError } from '../errors.ts'
import { HASH_BYTES, type Hash } from '../merkle/hash.ts'
import type { FullTileId, LogStore } from '../storage/store.ts'
import { edgeTile, type Tree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import type { TileId } from '../tile/path.ts'
import type { TileSource } from '../tile/prove.ts'

/** A tile with its interior nodes: 256 and 255 hashes. */
const CACHED_TILE_BYTES = 511 * HASH_BYTES

/**
 * Reads tiles of one log: full ones from the store, partial ones from the edge in memory. Nothing below a
 * committed size ever changes, so there is nothing to lock and nothing in the cache to invalidate.
 */
export class TileReader implements TileSource {
  readonly #store: LogStore
  readonly #tree: () => Tree
  readonly #cache: LRUCache<string, TileHashes>
  /** Edge tiles of one tree: kept so that their interior nodes are computed once for a tree, not once for a proof. */
  #edge: { tree: Tree; tiles: Map<number, TileHashes> } | undefined

  /** @param tree gives the newest committed tree; called at each read */
  constructor(store: LogStore, tree: () => Tree, cacheBytes: number) {
    this.#store = store
    this.#tree = tree
    this.#cache = new LRUCache({ max: Math.max(1, Math.floor(cacheBytes / CACHED_TILE_BYTES)) })
  }

  /**
   * The tiles asked for, each at least as wide as asked.
   *
   * @throws SteleError `out_of_range` for a tile beyond the tree, `corrupt` for one that should be stored
   */
  async readTiles(tiles: readonly TileId[]): Promise<TileHashes[]> {
    const tree = this.#tree()
    const found = tiles.map((tile) =>
      isFull(tile, tree.size) ? this.#cache.get(keyOf(tile)) : this.#edgeTile(tile, tree),
    )
    const missing = tiles.filter((_, i) => !found[i])
    if (missing.length > 0) {
      const stored = await this.#readFull(missing)
      let next = 0
      tiles.forEach((_, i) => (found[i] ??= stored[next++]))
    }
    return found as TileHashes[]
  }

  /** Leaf hashes by index; undefined beyond the tree. */
  async leafHashes(indexes: readonly number[]): Promise<(Hash | undefined)[]> {
    const { size } = this.#tree()
    const inside = indexes.filter((index) => index < size)
    const numbers = [...new Set(inside.map((index) => Math.floor(index / 256)))]
    const tiles = await this.readTiles(
      numbers.map((index) => ({ level: 0, index, width: Math.min(256, size - index * 256) })),
    )
    const byNumber = new Map(numbers.map((number, i) => [number, tiles[i]!]))
    return indexes.map((index) => {
      return index < size ? byNumber.get(Math.floor(index / 256))!.node(0, index % 256) : undefined
    })
  }

  async #readFull(tiles: readonly TileId[]): Promise<TileHashes[]> {
    const stored = await this.#store.readTiles(tiles)
    return stored.map((bytes, i) => {
      if (bytes?.length !== 256 * HASH_BYTES) throw damagedTile(tiles[i]!, bytes)
      const tile = new TileHashes(bytes)
      this.#cache.set(keyOf(tiles[i]!), tile)
      return tile
    })
  }

  #edgeTile({ level, index, width }: TileId, tree: Tree): TileHashes {
    if (this.#edge?.tree !== tree) this.#edge = { tree, tiles: new Map() }
    let tile = this.#edge.tiles.get(level)
    if (!tile) {
      tile = new TileHashes(edgeTile(tree, level))
      this.#edge.tiles.set(level, tile)
    }
    const edgeIndex = Math.floor(tree.size / 256 ** (level + 1))
    if (index !== edgeIndex || width > tile.width) {
      throw new SteleError(
        'out_of_range',
        `tile ${level}/${index} of width ${width} is beyond tree size ${tree.size}`,
      )
    }
    return tile
  }
}

function isFull({ level, index }: FullTileId, size: number): boolean {
  return (index + 1) * 256 ** (level + 1) <= size
}

function keyOf({ level, index }: FullTileId): string {
  return `${level}/${index}`
}

function damagedTile({ level, index }: FullTileId, bytes: Uint8Array | undefined): SteleError {
  const came = bytes ? `${bytes.length} bytes` : 'nothing'
  return new SteleError('corrupt', `tile ${level}/${index}: expected 8192 stored bytes, found ${came}`)
}
