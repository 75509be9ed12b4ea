import { invariant, SteleError } from '../errors.ts'
import { HASH_BYTES, hashNodeInto, type Hash } from '../merkle/hash.ts'
import { TILE_WIDTH } from './path.ts'

/**
 * The hashes of one tile, and the nodes above them, each computed when it is first asked for and kept: a tile that
 * stays in a cache costs its 255 hashes once.
 */
export class TileHashes {
  /** width * 32 bytes. */
  readonly bytes: Uint8Array
  /** 1 to 256. */
  readonly width: number
  // Heights 1 to 8 one after the other: 128 nodes, 64, … 1.
  #nodes: Uint8Array | undefined
  #known: Uint8Array | undefined

  /** @throws SteleError `malformed` unless there are 1 to 256 hashes */
  constructor(bytes: Uint8Array) {
    const width = bytes.length / HASH_BYTES
    if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
      throw new SteleError(
        'malformed',
        `tile: expected 1 to 256 hashes of 32 bytes, got ${bytes.length} bytes`,
      )
    }
    this.bytes = bytes
    this.width = width
  }

  /**
   * The root of the 2^height hashes that begin at position * 2^height.
   *
   * @param height 0, the hashes themselves, to 8, the root of a full tile
   */
  node(height: number, position: number): Hash {
    invariant(
      (position + 1) * 2 ** height <= this.width,
      `node ${height}/${position} is beyond the tile's width`,
    )
    if (height === 0) return view(this.bytes, position)
    this.#nodes ??= new Uint8Array((TILE_WIDTH - 1) * HASH_BYTES)
    this.#known ??= new Uint8Array(TILE_WIDTH - 1)
    this.#compute(this.#nodes, this.#known, height, position)
    return view(this.#nodes, placeOf(height, position))
  }

  #compute(nodes: Uint8Array, known: Uint8Array, height: number, position: number): void {
    const place = placeOf(height, position)
    if (known[place] === 1) return
    if (height === 1) {
      hashNodeInto(nodes, place * HASH_BYTES, this.bytes, position * 2 * HASH_BYTES)
    } else {
      this.#compute(nodes, known, height - 1, position * 2)
      this.#compute(nodes, known, height - 1, position * 2 + 1)
      hashNodeInto(nodes, place * HASH_BYTES, nodes, placeOf(height - 1, position * 2) * HASH_BYTES)
    }
    known[place] = 1
  }
}

/** Where in the slab a node above the tile's hashes stands: height h begins after 128 + 64 + … nodes. */
function placeOf(height: number, position: number): number {
  return TILE_WIDTH - 2 ** (9 - height) + position
}

function view(slab: Uint8Array, position: number): Hash {
  return slab.subarray(position * HASH_BYTES, (position + 1) * HASH_BYTES) as Hash
}
