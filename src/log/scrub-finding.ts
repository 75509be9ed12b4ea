import { toHex } from '../bytes/hex.ts'
import { sha256 } from '../merkle/hash.ts'
import type { Inspected, StoredId } from '../storage/store.ts'

/** What a finding is about: something in the database, a leaf in the index, or entries that cannot be read at all. */
export type ScrubPlace =
  | StoredId
  | { readonly kind: 'leaf_index'; readonly index: number }
  | { readonly kind: 'unreadable'; readonly begin: number; readonly end: number }

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
      return `entries ${at.begin} to ${at.end - 1}`
  }
}
