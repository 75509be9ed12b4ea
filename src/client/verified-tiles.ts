import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { HASH_BYTES, type Hash } from '../merkle/hash.ts'
import { rebuildTree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { hashesAt, widthAt } from '../tile/layout.ts'
import { formatTilePath, TILE_WIDTH, type TileId } from '../tile/path.ts'
import type { TileSource } from '../tile/prove.ts'
import type { LogFiles } from './http-files.ts'
import { allInOrder } from './ordered.ts'

/**
 * Stores full tiles between calls or between runs, under their tlog-tiles paths. It is not trusted: its tiles are
 * checked like those of the log, and a wrong one is fetched from the log. One cache serves one log.
 */
export interface TileCache {
  get(path: string): Promise<Uint8Array | undefined>
  set(path: string, bytes: Uint8Array): Promise<void>
}

/** A tree whose root hash the caller trusts, since it stands in a checkpoint that was opened. */
export interface TrustedHead {
  /** 0 to 2^53 - 1. */
  readonly size: number
  readonly root: Hash
}

// With their interior nodes a tile takes 16 KiB, so this is at most 8 MiB.
const TILES_KEPT = 512
const FETCHES_AT_A_TIME = 8

/**
 * Tiles of one log at one trusted head. Every tile is checked against the root hash before it is returned, so
 * everything computed from them holds for the signed tree.
 */
export class VerifiedTiles implements TileSource {
  readonly head: TrustedHead
  readonly #files: LogFiles
  readonly #cache: TileCache | undefined
  /** The right-most partial tile of each level that has one, checked together. */
  #edge: Promise<(TileHashes | undefined)[]> | undefined
  /** Full tiles, checked or on their way to it, the least recently used first. */
  readonly #full = new Map<string, Promise<TileHashes>>()

  constructor(files: LogFiles, head: TrustedHead, cache?: TileCache) {
    this.#files = files
    this.head = head
    this.#cache = cache
  }

  /**
   * The requested tiles, each as wide as the trusted head allows, which is at least as wide as requested.
   *
   * @throws SteleError `out_of_range` for a tile beyond the head; `not_found` for one that the log does not serve;
   *   `bad_proof` for one that does not lead to the root hash; what the files throw
   */
  readTiles(tiles: readonly TileId[]): Promise<TileHashes[]> {
    return allInOrder(tiles, FETCHES_AT_A_TIME, (tile) => this.#read(tile))
  }

  /**
   * Says whether the trusted tree has these leaf hashes.
   *
   * @param bundle which 256 leaves: those from `bundle * 256` on
   * @param slab the leaf hashes, as many as the head has there
   */
  async holdsLeaves(bundle: number, slab: Uint8Array): Promise<boolean> {
    const width = slab.length / HASH_BYTES
    if (width < TILE_WIDTH) {
      const [tile] = await this.readTiles([{ level: 0, index: bundle, width }])
      return equalBytes(tile!.bytes.subarray(0, slab.length), slab)
    }
    // The hash one level up says it all, so that reading a whole log needs no level-0 tile.
    return equalBytes(new TileHashes(slab).node(8, 0), await this.#hashAbove(0, bundle))
  }

  async #read({ level, index, width }: TileId): Promise<TileHashes> {
    const there = widthAt(level, index, this.head.size)
    if (width > there) {
      throw new SteleError(
        'out_of_range',
        `${formatTilePath({ level, index, width })}: beyond tree size ${this.head.size}`,
      )
    }
    if (there === TILE_WIDTH) return this.#readFull(level, index)
    return (await this.#edgeTiles())[level]!
  }

  #edgeTiles(): Promise<(TileHashes | undefined)[]> {
    // Fetched once for all that wait for it. A failure is not kept, since the next attempt may work.
    this.#edge ??= this.#readEdge().catch((error: unknown) => {
      this.#edge = undefined
      throw error
    })
    return this.#edge
  }

  /** One look at the whole right edge: its tiles hold the perfect subtrees whose hashes make the root hash. */
  async #readEdge(): Promise<(TileHashes | undefined)[]> {
    const { size, root } = this.head
    const edge: TileId[] = []
    for (let level = 0; hashesAt(level, size) > 0; level++) {
      const index = Math.floor(hashesAt(level, size) / TILE_WIDTH)
      edge.push({ level, index, width: widthAt(level, index, size) })
    }
    const tiles = await allInOrder(edge, FETCHES_AT_A_TIME, (tile) =>
      tile.width > 0 ? this.#fetch(tile) : Promise.resolve(new Uint8Array(0)),
    )
    const computed = rebuildTree(size, tiles).root
    if (!equalBytes(computed, root)) {
      const paths = edge.filter(({ width }) => width > 0).map(formatTilePath)
      throw new SteleError(
        'bad_proof',
        `tree size ${size}: expected root hash ${toHex(root)}, but ${paths.join(', ')} make ${toHex(computed)}`,
      )
    }
    return tiles.map((bytes) => (bytes.length > 0 ? new TileHashes(bytes) : undefined))
  }

  #readFull(level: number, index: number): Promise<TileHashes> {
    const path = formatTilePath({ level, index, width: TILE_WIDTH })
    const kept = this.#full.get(path)
    const tile = kept ?? this.#checkFull(level, index, path)
    // Set again, also when it is there: the order of a Map is the order of use.
    this.#full.delete(path)
    this.#full.set(path, tile)
    if (!kept) tile.catch(() => this.#full.delete(path))
    if (this.#full.size > TILES_KEPT) this.#full.delete(this.#full.keys().next().value!)
    return tile
  }

  async #checkFull(level: number, index: number, path: string): Promise<TileHashes> {
    const expected = await this.#hashAbove(level, index)
    const cached = await this.#cache?.get(path)
    if (cached?.length === TILE_WIDTH * HASH_BYTES) {
      const tile = new TileHashes(cached)
      if (equalBytes(tile.node(8, 0), expected)) return tile
    }
    const tile = new TileHashes(await this.#fetch({ level, index, width: TILE_WIDTH }))
    const found = tile.node(8, 0)
    if (!equalBytes(found, expected)) {
      throw new SteleError(
        'bad_proof',
        `${path}: expected hashes that make ${toHex(expected)}, as the tree of size ${this.head.size} has it, ` +
          `got some that make ${toHex(found)}`,
      )
    }
    await this.#cache?.set(path, tile.bytes)
    return tile
  }

  /** The hash of a full tile, as the level above has it: there is one, for partial tiles are never rolled up. */
  async #hashAbove(level: number, index: number): Promise<Hash> {
    const above = { level: level + 1, index: Math.floor(index / TILE_WIDTH), width: (index % TILE_WIDTH) + 1 }
    return (await this.#read(above)).node(0, index % TILE_WIDTH)
  }

  async #fetch(tile: TileId): Promise<Uint8Array> {
    const bytes = await this.#files.tile(tile.level, tile.index, tile.width)
    if (bytes === undefined)
      throw new SteleError('not_found', `${formatTilePath(tile)}: the log does not serve it`)
    if (bytes.length !== tile.width * HASH_BYTES) {
      throw new SteleError(
        'unexpected_answer',
        `${formatTilePath(tile)}: expected ${tile.width * HASH_BYTES} bytes, got ${bytes.length}`,
      )
    }
    return bytes
  }
}
