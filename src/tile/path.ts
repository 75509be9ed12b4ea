import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'

/** Hashes in a full tile, and entries in a full bundle (c2sp.org/tlog-tiles). */
export const TILE_WIDTH = 256

/** A tile: `width` hashes of tile level `level`, beginning at position index * 256 of that level. */
export interface TileId {
  /** 0 to 63; one tile level is eight levels of the tree. */
  readonly level: number
  /** 0 to 2^53 - 1. */
  readonly index: number
  /** 1 to 256; a tile of fewer than 256 hashes is partial. */
  readonly width: number
}

/** The path of a tile below the log's prefix, such as `tile/0/x001/x234/067.p/5`. */
export function formatTilePath({ level, index, width }: TileId): string {
  return `tile/${level}/${formatIndex(index)}${formatWidth(width)}`
}

/** The path of an entry bundle, such as `tile/entries/x001/000`. */
export function formatBundlePath(index: number, width = TILE_WIDTH): string {
  return `tile/entries/${formatIndex(index)}${formatWidth(width)}`
}

/** What a path asks for: a tile, or the entries below a tile of level 0. */
export interface TileRequest extends TileId {
  readonly kind: 'tile' | 'entries'
}

const PATH = /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/

/**
 * Reads the path of a tile or an entry bundle: exactly what {@link formatTilePath} and {@link formatBundlePath}
 * write, and nothing else.
 *
 * @throws SteleError `malformed`; `out_of_range` for an index above 2^53 - 1
 */
export function parseTilePath(path: string): TileRequest {
  const [, kind, groups, partial] = PATH.exec(path) ?? []
  if (kind === undefined || groups === undefined) throw malformed(path)
  const digits = groups.replaceAll(/[x/]/g, '')
  // A leading group of zeros would be a second way to write the same index.
  if (digits.length > 3 && digits.startsWith('000')) throw malformed(path)
  const index = Number(digits)
  if (!Number.isSafeInteger(index)) {
    throw new SteleError(
      'out_of_range',
      `tile path: expected an index of at most 2^53-1, got ${excerpt(groups)}`,
    )
  }
  const width = partial === undefined ? TILE_WIDTH : Number(partial)
  if (partial !== undefined && width >= TILE_WIDTH) throw malformed(path)
  if (kind === 'entries') return { kind, level: 0, index, width }
  const level = Number(kind)
  if (level > 63) throw malformed(path)
  return { kind: 'tile', level, index, width }
}

/** Groups of three digits, all but the last with an x in front. */
function formatIndex(index: number): string {
  const last = String(index % 1000).padStart(3, '0')
  let path = last
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${String(rest % 1000).padStart(3, '0')}/${path}`
  }
  return path
}

function formatWidth(width: number): string {
  return width === TILE_WIDTH ? '' : `.p/${width}`
}

function malformed(path: string): SteleError {
  return new SteleError('malformed', `tile path: expected one like tile/0/x001/067.p/5, got ${excerpt(path)}`)
}
