import { toHex } from '../bytes/hex.ts'
import { sha256 } from '../merkle/hash.ts'
import type { FileFault, Inspected, StoredId } from '../storage/store.ts'

/** A leaf in the index. */
export interface LeafPlace {
  readonly kind: 'leaf_index'
  readonly index: number
}

/** What a finding is about: something in the database, a leaf in the index, or what cannot be read at all. */
export type ScrubPlace =
  | StoredId
  | LeafPlace
  | { readonly kind: 'unreadable'; readonly begin: number; readonly end: number }
  | { readonly kind: 'file'; readonly begin: number; readonly end: number }
  | { readonly kind: 'whole_leaf_index' }

type PlaceInTree = Exclude<ScrubPlace, { readonly kind: 'file' | 'whole_leaf_index' }>

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
export function scrubFinding(at: PlaceInTree, expected: string, found: string): ScrubFinding {
  const place = placeInWords(at)
  return { at, place, expected, found, message: `${place}: expected ${expected}, found ${found}` }
}

/** Says of a part of a file of the database that it is not what was written. */
export function fileFinding({ begin, end, place, message }: FileFault): ScrubFinding {
  return { at: { kind: 'file', begin, end }, place, ...NOT_AS_WRITTEN, message }
}

/** The same of a file of the leaf index. */
export function indexFileFinding(place: string, message: string): ScrubFinding {
  return { at: { kind: 'whole_leaf_index' }, place: `leaf index, ${place}`, ...NOT_AS_WRITTEN, message }
}

const NOT_AS_WRITTEN = { expected: 'the bytes that were written', found: 'other bytes, by their checksum' }

/** What stands where something else should, in words. */
export function describeFound(found: Inspected): string {
  if (found === undefined) return 'nothing'
  if (found instanceof Error) return `what cannot be read (${found.message})`
  return `${found.length} bytes with SHA-256 ${toHex(sha256(found))}`
}

function placeInWords(at: PlaceInTree): string {
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
  }
}
