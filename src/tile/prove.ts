import { SteleError } from '../errors.ts'
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts'
import {
  checkSize,
  consistencyRanges,
  coveringNodes,
  foldNodes,
  inclusionRanges,
  isSubtree,
  subtreeRanges,
  type LeafRange,
} from '../merkle/range.ts'
import type { TileHashes } from './hashes.ts'
import { placeOf, widthAt, type NodePlace } from './layout.ts'
import type { TileId } from './path.ts'

/** Where tiles come from: a store, a server, a folder. Whether they are verified is the source's to say. */
export interface TileSource {
  /** The tiles asked for, in that order, each at least as wide as asked. */
  readTiles(tiles: readonly TileId[]): Promise<TileHashes[]>
}

/**
 * PATH(index, size) of RFC 6962, leaf side first.
 *
 * @throws SteleError `out_of_range` unless 0 <= index < size; what the source throws
 */
export async function proveInclusion(source: TileSource, index: number, size: number): Promise<Hash[]> {
  checkSize(index, 'leaf index')
  checkSize(size, 'tree size')
  if (index >= size) throw outOfRange(`index ${index} is not below tree size ${size}`)
  return hashRanges(source, inclusionRanges(index, size), size)
}

/**
 * PROOF(oldSize, newSize) of RFC 6962; empty for equal sizes.
 *
 * @throws SteleError `out_of_range` unless 0 < oldSize <= newSize; what the source throws
 */
export async function proveConsistency(
  source: TileSource,
  oldSize: number,
  newSize: number,
): Promise<Hash[]> {
  checkSize(oldSize, 'old size')
  checkSize(newSize, 'new size')
  if (oldSize === 0 || oldSize > newSize) {
    throw outOfRange(`old size ${oldSize} is not between 1 and the new size ${newSize}`)
  }
  return hashRanges(source, consistencyRanges(oldSize, newSize), newSize)
}

/**
 * SUBTREE_PROOF(start, end, size) of the MTC draft.
 *
 * @throws SteleError `out_of_range` unless [start, end) is a subtree within the size; what the source throws
 */
export async function proveSubtree(
  source: TileSource,
  start: number,
  end: number,
  size: number,
): Promise<Hash[]> {
  for (const value of [start, end, size]) checkSize(value, 'subtree or tree size')
  if (!isSubtree(start, end) || end > size) {
    throw outOfRange(`[${start}, ${end}) is no subtree of ${size} leaves`)
  }
  return hashRanges(source, subtreeRanges(start, end, size), size)
}

/**
 * The root hash of the first `size` leaves.
 *
 * @throws SteleError `out_of_range` unless size is an integer from 0 to 2^53 - 1; what the source throws
 */
export async function rootAt(source: TileSource, size: number): Promise<Hash> {
  checkSize(size, 'tree size')
  if (size === 0) return EMPTY_ROOT
  const [root] = await hashRanges(source, [{ begin: 0, end: size }], size)
  return root!
}

/** Plan which nodes make up the ranges, fetch their tiles in one read, fold. */
async function hashRanges(source: TileSource, ranges: readonly LeafRange[], size: number): Promise<Hash[]> {
  const plan = ranges.map((range) => coveringNodes(range).map(placeOf))
  const wanted = new Map<string, TileId>()
  for (const { level, index } of plan.flat()) {
    wanted.set(`${level}/${index}`, { level, index, width: widthAt(level, index, size) })
  }
  if (wanted.size === 0) return []
  const tiles = await source.readTiles([...wanted.values()])
  const found = new Map([...wanted.keys()].map((key, i) => [key, tiles[i]!]))
  const hashOf = ({ level, index, height, position }: NodePlace): Hash =>
    found.get(`${level}/${index}`)!.node(height, position)
  return plan.map((places) => foldNodes(places.map(hashOf)))
}

function outOfRange(message: string): SteleError {
  return new SteleError('out_of_range', `proof: ${message}`)
}
