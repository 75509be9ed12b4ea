import type { Node } from '../merkle/range.ts'
import { TILE_WIDTH, type TileId } from './path.ts'

/** How many hashes tile level `level` has at a tree size: one for each 256^level leaves. */
export function hashesAt(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level)
}

/** How wide tile (level, index) is at a tree size: 0 to 256. */
export function widthAt(level: number, index: number, size: number): number {
  return Math.max(0, Math.min(TILE_WIDTH, hashesAt(level, size) - index * TILE_WIDTH))
}

/** The tiles of a tree, full ones and the partial one of each level, lower levels first. */
export function* tilesAt(size: number): Generator<TileId> {
  for (let level = 0; hashesAt(level, size) > 0; level++) {
    for (let index = 0; widthAt(level, index, size) > 0; index++) {
      yield { level, index, width: widthAt(level, index, size) }
    }
  }
}

/** Where in a tile a node of the tree is found. */
export interface NodePlace {
  readonly level: number
  readonly index: number
  /** Levels above the tile's hashes, 0 to 7, and the place among the nodes there. */
  readonly height: number
  readonly position: number
}

/** The tile that holds a node, or the hashes below it (protocol: node level v is in tile level v / 8). */
export function placeOf({ level, index }: Node): NodePlace {
  const height = level % 8
  const nodesThere = TILE_WIDTH / 2 ** height
  return {
    level: (level - height) / 8,
    index: Math.floor(index / nodesThere),
    height,
    position: index % nodesThere,
  }
}
