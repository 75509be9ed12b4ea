import { toHex } from '../bytes/hex.ts'
import { HASH_BYTES, type Hash } from '../merkle/hash.ts'
import { formatBundlePath, formatTilePath, type TileId } from '../tile/path.ts'

/** The first thing in a log that is missing or wrong: where, what was expected, what is there. */
export type AuditFinding = { readonly message: string } & (
  | { readonly kind: 'missing'; readonly path: string }
  /** It cannot even be read as what it should be. */
  | { readonly kind: 'malformed'; readonly path: string }
  | {
      readonly kind: 'entry_differs'
      readonly index: number
      readonly leafHashByEntry: Hash
      readonly leafHashInTile: Hash
      /** Which of the two the level above speaks for, so which one was damaged; unknown where there is none, or neither. */
      readonly damaged: 'entry' | 'tile' | 'unknown'
    }
  | {
      readonly kind: 'tile_differs'
      readonly path: string
      /** Which hash of the tile, 0 to 255. */
      readonly position: number
      /** As it follows from the entries. */
      readonly expected: Hash
      readonly found: Hash
    }
  | {
      readonly kind: 'root_differs'
      readonly size: number
      /** As it was signed. */
      readonly expected: Hash
      /** As it follows from the entries. */
      readonly found: Hash
    }
)

/** @internal */
export function missing(path: string): AuditFinding {
  return { kind: 'missing', path, message: `${path}: missing` }
}

/** @internal */
export function malformedBundle(index: number, width: number, reason: string): AuditFinding {
  const path = formatBundlePath(index, width)
  return { kind: 'malformed', path, message: `${path}: ${reason}` }
}

/** @internal */
export function entryDiffers(
  index: number,
  leafHashByEntry: Hash,
  leafHashInTile: Hash,
  damaged: 'entry' | 'tile' | 'unknown',
): AuditFinding {
  const verdict =
    damaged === 'unknown'
      ? 'which of them is damaged cannot be told'
      : `the level above shows the ${damaged} to be damaged`
  const message =
    `entry ${index}: its leaf hash is ${toHex(leafHashByEntry)}, ` +
    `the level-0 tile has ${toHex(leafHashInTile)}; ${verdict}`
  return { kind: 'entry_differs', index, leafHashByEntry, leafHashInTile, damaged, message }
}

/** Compares a stored tile with the hashes that it must have. @internal */
export function judgeTile(
  tile: TileId,
  stored: Uint8Array | undefined,
  expected: Uint8Array,
): AuditFinding | undefined {
  const path = formatTilePath(tile)
  if (stored === undefined) return missing(path)
  if (stored.length !== expected.length) {
    return {
      kind: 'malformed',
      path,
      message: `${path}: expected ${expected.length} bytes, found ${stored.length}`,
    }
  }
  const position = firstDifference(stored, expected)
  if (position === undefined) return undefined
  const [want, found] = [hashAt(expected, position), hashAt(stored, position)]
  const message = `${path}: expected hash ${toHex(want)} at position ${position}, found ${toHex(found)}`
  return { kind: 'tile_differs', path, position, expected: want, found, message }
}

/** @internal */
export function rootDiffers(size: number, expected: Hash, found: Hash): AuditFinding {
  const message =
    `tree size ${size}: the root hash ${toHex(expected)} was signed, but entries and tiles make ${toHex(found)}: ` +
    `they are of another history`
  return { kind: 'root_differs', size, expected, found, message }
}

/** The position of the first hash in which two slabs of one length differ. @internal */
export function firstDifference(a: Uint8Array, b: Uint8Array): number | undefined {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return Math.floor(i / HASH_BYTES)
  return undefined
}

/** @internal */
export function hashAt(slab: Uint8Array, position: number): Hash {
  return slab.slice(position * HASH_BYTES, (position + 1) * HASH_BYTES) as Hash
}
