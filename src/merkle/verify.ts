import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { asHash, nodeHash, type Hash } from './hash.ts'
import { checkSize, isSubtree } from './range.ts'

// The hashes come from an untrusted party. They are plain bytes here, and their length is checked before anything else:
// with hashes of another length one node's input could be read as another's.

/** A leaf hash, its claimed place, and the hashes from there to the root, leaf side first. */
export interface InclusionPath {
  readonly index: number
  readonly size: number
  readonly leaf: Uint8Array
  readonly path: readonly Uint8Array[]
}

/** An inclusion path with the root hash that it has to lead to. */
export interface InclusionProof extends InclusionPath {
  readonly root: Uint8Array
}

/** Two sizes with their root hashes and what shows that the older tree is a prefix of the newer. */
export interface ConsistencyProof {
  readonly oldSize: number
  readonly newSize: number
  readonly oldRoot: Uint8Array
  readonly newRoot: Uint8Array
  readonly path: readonly Uint8Array[]
}

/** The hash of the leaves `[start, end)` and what shows that it is a part of the tree. */
export interface SubtreeProof {
  readonly start: number
  readonly end: number
  readonly size: number
  readonly nodeHash: Uint8Array
  readonly path: readonly Uint8Array[]
  readonly root: Uint8Array
}

/**
 * The root hash that an inclusion path leads to. It says nothing until it is compared with a signed root hash of
 * the same size (RFC 9162 section 2.1.3.2).
 *
 * @throws SteleError `out_of_range` unless index < size <= 2^53 - 1; `bad_proof` for a path of another length;
 *   `malformed` for a hash that is not 32 bytes
 */
export function rootFromInclusion({ index, size, leaf, path }: InclusionPath): Hash {
  checkSize(index, 'leaf index')
  checkSize(size, 'tree size')
  if (index >= size) throw new SteleError('out_of_range', `leaf index ${index} is beyond tree size ${size}`)
  return climb({ start: index, end: index + 1, size, hash: asHash(leaf, 'leaf hash'), path: hashes(path) })
    .whole
}

/**
 * Checks that `leaf` is leaf number `index` of the tree of this size and root hash.
 *
 * @throws SteleError `bad_proof`, `out_of_range`, `malformed` as {@link rootFromInclusion}
 */
export function verifyInclusion(proof: InclusionProof): void {
  const root = asHash(proof.root, 'root hash')
  demand(equalBytes(rootFromInclusion(proof), root), 'inclusion proof: it does not lead to the root hash')
}

/**
 * Checks that the tree of the old size is a prefix of the tree of the new size (RFC 9162 section 2.1.4.2).
 *
 * An old size of 0 is refused: the RFCs define no such proof, and any tree extends the empty one. Who may
 * meet it decides that case before calling.
 *
 * @throws SteleError `out_of_range` unless 0 < oldSize <= newSize <= 2^53 - 1; `bad_proof`; `malformed` for a hash
 *   that is not 32 bytes
 */
export function verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path }: ConsistencyProof): void {
  checkSubtree(0, oldSize, newSize)
  climbAndCompare({ start: 0, end: oldSize, size: newSize, nodeHash: oldRoot, path, root: newRoot })
}

/**
 * Checks that `nodeHash` is the hash of the leaves `[start, end)` of the tree of this size and root hash
 * (Merkle Tree Certificates draft, subtree consistency).
 *
 * @throws SteleError `out_of_range` unless `[start, end)` is a subtree and end <= size <= 2^53 - 1; `bad_proof`;
 *   `malformed` for a hash that is not 32 bytes
 */
export function verifySubtreeConsistency(proof: SubtreeProof): void {
  checkSubtree(proof.start, proof.end, proof.size)
  climbAndCompare(proof)
}

function checkSubtree(start: number, end: number, size: number): void {
  for (const value of [start, end, size]) checkSize(value, 'subtree or tree size')
  if (end > size || !isSubtree(start, end)) {
    throw new SteleError('out_of_range', `[${start}, ${end}) is no subtree of a tree of size ${size}`)
  }
}

function climbAndCompare({ start, end, size, nodeHash: suspect, path, root }: SubtreeProof): void {
  const hash = asHash(suspect, 'hash of the subtree')
  const rootHash = asHash(root, 'root hash')
  const { part, whole } = climb({ start, end, size, hash, path: hashes(path) })
  demand(equalBytes(part, hash), 'consistency proof: it does not lead to the old hash')
  demand(equalBytes(whole, rootHash), 'consistency proof: it does not lead to the new root hash')
}

interface Climb {
  readonly start: number
  readonly end: number
  readonly size: number
  readonly hash: Hash
  readonly path: readonly Hash[]
}

/**
 * Recomputes from one path both the hash of `[start, end)` (part) and the root hash (whole). This is the
 * verification algorithm of the Merkle Tree Certificates draft; with `end = start + 1` it is the one for
 * inclusion, with `start = 0` the one for consistency, of RFC 9162 sections 2.1.3.2 and 2.1.4.2.
 */
function climb({ start, end, size, hash, path }: Climb): { part: Hash; whole: Hash } {
  // The subtree's first and last node and the tree's last node, all on the level that the climb has reached.
  let first = start
  let last = end - 1
  let edge = size - 1
  const rise = (): void => {
    first = Math.floor(first / 2)
    last = Math.floor(last / 2)
    edge = Math.floor(edge / 2)
  }

  // Up to the largest node that is surely whole in both trees: the path begins there. A subtree that reaches the
  // tree's edge, or that is one whole node, is such a node itself.
  while (first !== last && (last === edge || isOdd(last))) rise()
  const [begin, rest] = first === last ? [hash, path] : [path[0], path.slice(1)]
  demand(begin !== undefined, 'proof: it is empty')

  let part = begin
  let whole = begin
  for (const sibling of rest) {
    demand(edge > 0, `proof: ${path.length} hashes are too many`)
    // A lone right node is promoted: it has no sibling until it is a right child.
    while (last === edge && !isOdd(last)) rise()
    if (isOdd(last)) {
      if (first < last) part = nodeHash(sibling, part)
      whole = nodeHash(sibling, whole)
    } else {
      whole = nodeHash(whole, sibling)
    }
    rise()
  }
  demand(edge === 0, `proof: ${path.length} hashes are too few`)
  return { part, whole }
}

function hashes(path: readonly Uint8Array[]): Hash[] {
  return path.map((bytes, i) => asHash(bytes, `proof hash ${i}`))
}

function isOdd(n: number): boolean {
  return n % 2 === 1
}

function demand(fact: boolean, message: string): asserts fact {
  if (!fact) throw new SteleError('bad_proof', message)
}
