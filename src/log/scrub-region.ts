import type { StoredId } from '../storage/store.ts'
import { TILE_WIDTH } from '../tile/path.ts'

/** The leaf index among the regions: it is in a database of its own. */
export const LEAF_INDEX_REGION = -1

/** The region of the databases where something stands: its neighbours in a block of LevelDB are in it, or in the next. */
export function regionOf(place: StoredId): number {
  switch (place.kind) {
    case 'entry':
      return Math.floor(place.index / TILE_WIDTH)
    case 'head':
      return Math.floor(place.size / TILE_WIDTH)
    case 'tile':
      // A tile is filed at its last leaf.
      return (place.index + 1) * TILE_WIDTH ** place.level - 1
  }
}
