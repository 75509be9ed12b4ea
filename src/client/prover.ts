import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { EMPTY_ROOT, type Hash } from '../merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../merkle/verify.ts'
import { formatProofFile } from '../note/proof-file.ts'
import { widthAt } from '../tile/layout.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { proveConsistency, proveInclusion, rootAt } from '../tile/prove.ts'
import type { VerifiedCheckpoint } from './heads.ts'
import type { AskProof } from './served-proofs.ts'
import type { VerifiedTiles } from './verified-tiles.ts'

/** A leaf that was proved to be in the log. */
export interface ProvenLeaf {
  readonly index: number
  readonly leafHash: Hash
  /** The signed tree that the proof leads to. */
  readonly checkpoint: VerifiedCheckpoint
  /** A `.tlog-proof` file: everything needed to verify it again, offline. */
  readonly proof: string
}

/** Two trees of which the older one is a prefix of the newer one. */
export interface ProvenConsistency {
  readonly oldSize: number
  readonly newSize: number
  readonly oldRoot: Hash
  readonly newRoot: Hash
  /** The consistency proof (RFC 6962 section 2.1.2); empty for equal sizes and for an old size of 0. */
  readonly path: readonly Hash[]
}

/**
 * Makes the proof file of a leaf out of verified tiles.
 *
 * @throws SteleError `out_of_range` for an index outside the head; as `VerifiedTiles.readTiles`
 */
export async function proveLeaf(
  tiles: VerifiedTiles,
  checkpoint: VerifiedCheckpoint,
  index: number,
): Promise<ProvenLeaf> {
  const { size, root } = checkpoint
  const [leaf] = await readLeaves(tiles, [index])
  const path = await proveInclusion(tiles, index, size)
  verifyInclusion({ index, size, leaf: leaf!, path, root })
  const proof = formatProofFile({ index, path, checkpoint: checkpoint.note })
  return { index, leafHash: leaf!, checkpoint, proof }
}

/**
 * Proves that one tree is a prefix of another, both of them prefixes of the verified head.
 *
 * @throws SteleError `out_of_range` unless old <= new <= the head's size; as `VerifiedTiles.readTiles`
 */
export async function proveSizes(
  tiles: VerifiedTiles,
  { oldSize, newSize }: TwoSizes,
): Promise<ProvenConsistency> {
  checkSizes({ oldSize, newSize }, tiles.head.size)
  const [oldRoot, newRoot] = [await rootAt(tiles, oldSize), await rootAt(tiles, newSize)]
  // Any tree extends the empty one; RFC 6962 defines no proof for it.
  const path = oldSize === 0 ? [] : await proveConsistency(tiles, oldSize, newSize)
  if (oldSize > 0) verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })
  return { oldSize, newSize, oldRoot, newRoot, path }
}

/**
 * The same with a proof that the log serves, for callers that may not read tiles. Such a proof shows that two root
 * hashes are consistent, not what they are, so both must be known.
 *
 * @param rootOf the root hash of a verified head
 * @throws SteleError `out_of_range`; `forbidden` for a size without one; `bad_proof`
 */
export async function proveServed(
  askProof: AskProof,
  rootOf: (size: number) => Hash | undefined,
  head: VerifiedCheckpoint,
  { oldSize, newSize }: TwoSizes,
): Promise<ProvenConsistency> {
  checkSizes({ oldSize, newSize }, head.size)
  const [oldRoot, newRoot] = [oldSize, newSize].map((size) => {
    const root = size === 0 ? EMPTY_ROOT : size === head.size ? head.root : rootOf(size)
    if (root) return root
    throw new SteleError(
      'forbidden',
      `size ${size}: the log shows its leaf hashes to others alone, and this client has verified no checkpoint of it`,
    )
  }) as [Hash, Hash]
  const path = oldSize === 0 || oldSize === newSize ? [] : await askProof(oldSize, newSize)
  if (oldSize > 0) verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path })
  return { oldSize, newSize, oldRoot, newRoot, path }
}

interface TwoSizes {
  readonly oldSize: number
  readonly newSize: number
}

function checkSizes({ oldSize, newSize }: TwoSizes, most: number): void {
  const whole = Number.isSafeInteger(oldSize) && Number.isSafeInteger(newSize)
  if (whole && oldSize >= 0 && oldSize <= newSize && newSize <= most) return
  throw new SteleError('out_of_range', `sizes ${oldSize} and ${newSize}: expected 0 <= old <= new <= ${most}`)
}

/** Leaf hashes by index, out of verified tiles. @throws SteleError as `VerifiedTiles.readTiles` */
export async function readLeaves(tiles: VerifiedTiles, indexes: readonly number[]): Promise<Hash[]> {
  const outside = indexes.find(
    (index) => !Number.isSafeInteger(index) || index < 0 || index >= tiles.head.size,
  )
  if (outside !== undefined) {
    throw new SteleError('out_of_range', `index ${outside}: expected one below tree size ${tiles.head.size}`)
  }
  const numbers = [...new Set(indexes.map((index) => Math.floor(index / TILE_WIDTH)))]
  const wanted = numbers.map((index) => ({ level: 0, index, width: widthAt(0, index, tiles.head.size) }))
  const read = new Map((await tiles.readTiles(wanted)).map((tile, i) => [numbers[i]!, tile]))
  return indexes.map((index) => read.get(Math.floor(index / TILE_WIDTH))!.node(0, index % TILE_WIDTH))
}

/**
 * Checks that leaves are where the log says they are.
 *
 * @throws SteleError `out_of_range` for an index outside the head; `bad_proof` naming the first one that is not there
 */
export async function checkLeaves(
  tiles: VerifiedTiles,
  leaves: readonly { readonly index: number; readonly leafHash: Hash }[],
): Promise<void> {
  const inTree = await readLeaves(
    tiles,
    leaves.map(({ index }) => index),
  )
  leaves.forEach(({ index, leafHash }, i) => {
    if (equalBytes(inTree[i]!, leafHash)) return
    throw new SteleError(
      'bad_proof',
      `the log says that leaf hash ${toHex(leafHash)} is at index ${index}, but its tree has ${toHex(inTree[i]!)} there`,
    )
  })
}
