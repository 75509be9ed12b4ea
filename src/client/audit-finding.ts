import { toHex } from '../bytes/hex.ts'
import { type Hash, HASH_BYTES } from '../merkle/hash.ts'
import type { VerifierKey } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import type { FullTile, Tree } from '../tile/grow.ts'
import { formatBundlePath, formatTilePath, type TileId } from '../tile/path.ts'

/** The first thing in a log that is missing or wrong: where, what was expected, what is there. */
export type AuditFinding = { readonly message: string } & (
  | { readonly kind: 'missing'; readonly path: string }
  /** It does not have the form that it should have. */
  | { readonly kind: 'malformed'; readonly path: string }
  | {
      readonly kind: 'entry_differs'
      readonly index: number
      readonly leafHashByEntry: Hash
      readonly leafHashInTile: Hash
      /**
       * The damaged one of the two, according to the level above; unknown if there is no such level, or if it fits
       * neither.
       */
      readonly damaged: 'entry' | 'tile' | 'unknown'
    }
  | {
      readonly kind: 'tile_differs'
      readonly path: string
      /** Which hash of the tile, 0 to 255. */
      readonly position: number
      /** Computed from the entries. */
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

/** How far an audit has come. */
export interface AuditProgress {
  /** Entries read, those of an earlier audit included. */
  readonly entries: number
  /** Where it ends. */
  readonly size: number
  /** What those entries make: handed in as `from`, an audit goes on there. The head speaks for it only at the end. */
  readonly tree: Tree
}

/** Entries that were read and compared with the tiles above them. The signed head speaks for them only at the end. */
export interface AuditedStretch {
  /** Index of the first one. */
  readonly from: number
  readonly entries: readonly Uint8Array[]
  /** The tiles that became full with them. */
  readonly tiles: readonly FullTile[]
}

/** How to audit, and against whose signature. */
export interface AuditOptions {
  readonly origin: string
  readonly verifierKeys: readonly (string | VerifierKey)[]
  /** Whose cosignatures the checkpoint must carry. Its `log` lines do not count. */
  readonly policy?: Policy | undefined
  /** True if `verifierKeys` are those of the mirror that the files are of: it speaks for its copy. Default false. */
  readonly ofMirror?: boolean | undefined
  /** The tree of an earlier report: what it covers is taken as checked. Default: the empty tree. */
  readonly from?: Tree | undefined
  /** `derived` for a source that keeps full tiles only, so that there are no partial ones to compare. Default `stored`. */
  readonly partialTiles?: 'stored' | 'derived' | undefined
  /** Told after every bundle; throwing in it ends the audit. */
  readonly onProgress?: ((progress: AuditProgress) => void) | undefined
  /** Handed every stretch in order, and waited for; throwing in it ends the audit. */
  readonly onStretch?: ((stretch: AuditedStretch) => Promise<void>) | undefined
  /**
   * Another implementation's look at every full level-0 tile; throws if it gets another root.
   *
   * @param tileIndex of the level-0 tile
   * @param leafHashes 8,192 bytes, valid during the call
   * @param expectedRoot what this program makes of them; the level above is compared with it afterwards
   */
  readonly secondOpinion?:
    ((tileIndex: number, leafHashes: Uint8Array, expectedRoot: Hash) => void | Promise<void>) | undefined
}
