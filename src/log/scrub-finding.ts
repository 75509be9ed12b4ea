import { toHex } from '../bytes/hex.ts'
import { sha256 } from '../merkle/hash.ts'
import type { Inspected, StoredId } from '../storage/store.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { LEAF_INDEX_REGION } from './scrub-region.ts'

/** What a finding is about: something in the database, a leaf in the index, or what cannot be read at all. */
export type ScrubPlace =
  | StoredId
  | { readonly kind: 'leaf_index'; readonly index: number }
  | { readonly kind: 'unreadable'; readonly begin: number; readonly end: number }
  | { readonly kind: 'whole_leaf_index' }

/** One stored thing that is not what it must be. */
export interface ScrubFinding {
  readonly at: ScrubPlace
  /** The same in words, such as `entry 17`, `tile 0/3`, `head of size 12`. */
  readonly place: string
  /** A hash in hex, or words where there is none to name. */
  readonly expected: string
  readonly found: string
  /** The sentence for people. */
  readonly message: string
}

/** Puts a finding into words. */
export function scrubFinding(at: ScrubPlace, expected: string, found: string): ScrubFinding {
  const place = placeInWords(at)
  return { at, place, expected, found, message: `${place}: expected ${expected}, found ${found}` }
}

/**
 * Says of a region that is not read any more why, and what to do.
 *
 * @param size of the tree
 */
export function deadlyFinding(region: number, size: number, deaths: number): ScrubFinding {
  const found =
    `that the server's process ended ${deaths === 1 ? 'once' : `${deaths} times`} while they were, so they are left ` +
    `alone now. Stop the server and run "stele fsck", which says what is damaged and, if nothing is, lets them be read ` +
    `again; "stele repair" or "stele restore" put back what is`
  return scrubFinding(placeOf(region, size), 'that they can be read', found)
}

/** Which entries a region holds, or that it is the leaf index. */
export function regionInWords(region: number, size: number): string {
  return placeInWords(placeOf(region, size))
}

function placeOf(region: number, size: number): ScrubPlace {
  if (region === LEAF_INDEX_REGION) return { kind: 'whole_leaf_index' }
  const begin = region * TILE_WIDTH
  return { kind: 'unreadable', begin, end: Math.min(begin + TILE_WIDTH, size) }
}

/** What stands where something else should, in words. */
export function describeFound(found: Inspected): string {
  if (found === undefined) return 'nothing'
  if (found instanceof Error) return `what cannot be read (${found.message})`
  return `${found.length} bytes with SHA-256 ${toHex(sha256(found))}`
}

function placeInWords(at: ScrubPlace): string {
  switch (at.kind) {
    case 'entry':
      return `entry ${at.index}`
    case 'tile':
      return `tile ${at.level}/${at.index}`
    case 'head':
      return `head of size ${at.size}`
    case 'leaf_index':
      return `leaf index, leaf ${at.index}`
    case 'unreadable':
      return at.begin < at.end ? `entries ${at.begin} to ${at.end - 1}` : `head of size ${at.begin}`
    case 'whole_leaf_index':
      return 'leaf index'
  }
}
