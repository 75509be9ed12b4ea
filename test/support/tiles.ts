import { HASH_BYTES } from '../../src/merkle/hash.ts'
import { edgeTile, growTree, EMPTY_TREE, type FullTile, type Tree } from '../../src/tile/grow.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import type { TileId } from '../../src/tile/path.ts'
import type { TileSource } from '../../src/tile/prove.ts'

/** The tiles of a grown tree, in memory. It writes down what was asked for, read by read. */
export class MemoryTiles implements TileSource {
  readonly reads: (readonly TileId[])[] = []
  readonly #tiles = new Map<string, Uint8Array>()

  constructor(tree: Tree, full: readonly FullTile[]) {
    for (const { level, index, hashes } of full) this.#tiles.set(`${level}/${index}`, hashes)
    for (let level = 0; 256 ** level <= tree.size; level++) {
      const index = Math.floor(tree.size / 256 ** (level + 1))
      const hashes = edgeTile(tree, level)
      if (hashes.length > 0) this.#tiles.set(`${level}/${index}`, hashes)
    }
  }

  /** Grows the tree of these leaf hashes in one go. */
  static of(leaves: readonly Uint8Array[]): MemoryTiles {
    const { tree, tiles } = growTree(EMPTY_TREE, slab(leaves))
    return new MemoryTiles(tree, tiles)
  }

  /** The names of all tiles, such as `0/273`, with the number of hashes that each has. */
  widths(): Map<string, number> {
    return new Map([...this.#tiles].map(([name, hashes]) => [name, hashes.length / HASH_BYTES]))
  }

  /** The first `width` hashes of a tile; no more than that, so that nobody can use what was not asked for. */
  bytes({ level, index, width }: TileId): Uint8Array {
    const hashes = this.#tiles.get(`${level}/${index}`)
    if (!hashes || hashes.length < width * HASH_BYTES) throw new Error(`no tile ${level}/${index}.p/${width}`)
    return hashes.slice(0, width * HASH_BYTES)
  }

  readTiles(tiles: readonly TileId[]): Promise<TileHashes[]> {
    this.reads.push(tiles)
    return Promise.resolve(tiles.map((tile) => new TileHashes(this.bytes(tile))))
  }
}

/** Leaf hashes, one after the other. */
export function slab(hashes: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_BYTES)
  hashes.forEach((hash, i) => bytes.set(hash, i * HASH_BYTES))
  return bytes
}
