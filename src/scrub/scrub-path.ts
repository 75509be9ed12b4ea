import { equalBytes } from '../bytes/bytes.ts'
import { HASH_BYTES, hashLeafInto, type Hash } from '../merkle/hash.ts'
import { SteleError } from '../errors.ts'
import type { LogStore, StoredId } from '../storage/store.ts'
import { edgeTile, type Tree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { TILE_WIDTH, type TileId } from '../tile/path.ts'
import type { TileSource } from '../tile/prove.ts'

const TILE_BYTES = TILE_WIDTH * HASH_BYTES

/**
 * The full tiles from the tree's edge down to the scrubber's position, one of each level, each checked against the
 * level above. The edge is in memory and was compared with a signed root, so tiles checked this way are what was
 * signed. A damaged tile is recomputed from the level below where that is undamaged, so that damage does not hide other
 * damage below it.
 */
export class VerifiedPath implements TileSource {
  readonly #store: Pick<LogStore, 'inspect'>
  readonly #levels = new Map<number, { index: number; tile: TileHashes | undefined }>()
  #tree: Tree
  /** Edge tiles of that tree, with their interior nodes. */
  #edge = new Map<number, TileHashes>()
  #bytesRead = 0

  constructor(store: Pick<LogStore, 'inspect'>, tree: Tree) {
    this.#store = store
    this.#tree = tree
  }

  /** Continues with a larger tree that extends the last one. Checked tiles stay checked. */
  moveTo(tree: Tree): void {
    this.#tree = tree
    this.#edge = new Map()
  }

  /** Bytes read since the last call. */
  takeBytesRead(): number {
    const bytes = this.#bytesRead
    this.#bytesRead = 0
    return bytes
  }

  /** The hash of a full tile according to the level above; undefined if that level is damaged beyond recovery. */
  async rootOf(level: number, index: number): Promise<Hash | undefined> {
    const above = await this.tile(level + 1, Math.floor(index / TILE_WIDTH))
    return above?.node(0, index % TILE_WIDTH)
  }

  /** The correct tile; undefined if it cannot be determined. */
  async tile(level: number, index: number): Promise<TileHashes | undefined> {
    if ((index + 1) * TILE_WIDTH ** (level + 1) > this.#tree.size) return this.#edgeTile(level)
    const known = this.#levels.get(level)
    if (known?.index === index) return known.tile
    const tile = await this.#load(level, index)
    this.#levels.set(level, { index, tile })
    return tile
  }

  async readTiles(tiles: readonly TileId[]): Promise<TileHashes[]> {
    const found: TileHashes[] = []
    for (const { level, index } of tiles) {
      const tile = await this.tile(level, index)
      if (!tile) throw new SteleError('corrupt', `tile ${level}/${index}: damaged`)
      found.push(tile)
    }
    return found
  }

  async #load(level: number, index: number): Promise<TileHashes | undefined> {
    const root = await this.rootOf(level, index)
    if (!root) return undefined
    const matching = (bytes: Uint8Array | undefined): TileHashes | undefined => {
      if (bytes?.length !== TILE_BYTES) return undefined
      const tile = new TileHashes(bytes)
      return equalBytes(tile.node(8, 0), root) ? tile : undefined
    }
    const [stored] = await this.#read([{ kind: 'tile', level, index }])
    return matching(stored) ?? matching(await this.#fromBelow(level, index))
  }

  /** The hashes of a full tile, computed from the entries or tiles below it, if these are readable. */
  async #fromBelow(level: number, index: number): Promise<Uint8Array | undefined> {
    const slab = new Uint8Array(TILE_BYTES)
    for (let i = 0; i < TILE_WIDTH; i++) {
      const at = index * TILE_WIDTH + i
      const id: StoredId =
        level === 0 ? { kind: 'entry', index: at } : { kind: 'tile', level: level - 1, index: at }
      const [bytes] = await this.#read([id])
      if (!bytes || (level > 0 && bytes.length !== TILE_BYTES)) return undefined
      if (level === 0) hashLeafInto(slab, i * HASH_BYTES, bytes)
      else slab.set(new TileHashes(bytes).node(8, 0), i * HASH_BYTES)
    }
    return slab
  }

  async #read(places: readonly StoredId[]): Promise<(Uint8Array | undefined)[]> {
    const read = await this.#store.inspect(places)
    return read.map((bytes) => {
      if (!(bytes instanceof Uint8Array)) return undefined
      this.#bytesRead += bytes.length
      return bytes
    })
  }

  #edgeTile(level: number): TileHashes | undefined {
    const known = this.#edge.get(level)
    if (known) return known
    const hashes = edgeTile(this.#tree, level)
    if (hashes.length === 0) return undefined
    const tile = new TileHashes(hashes)
    this.#edge.set(level, tile)
    return tile
  }
}
