import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { EMPTY_ROOT, asHash, nodeHash, type Hash } from './hash.ts'
import { isSubtree } from './range.ts'

/*
 * The iterative verifiers of RFC 9162 sections 2.1.3.2 and 2.1.4.2 and of the MTC draft. Positions are halved with
 * arithmetic: a shift would cut them to 32 bits.
 */
const half = (n: number): number => Math.floor(n / 2)
const isOdd = (n: number): boolean => n % 2 === 1

export interface InclusionProof {
  readonly index: number
  readonly size: number
  readonly leaf: Hash
  readonly path: readonly Hash[]
}

/**
 * The root hash that an inclusion proof leads to.
 *
 * @throws SteleError `out_of_range` unless index < size, both below 2^53; `malformed` for a hash of another length;
 *   `bad_proof` for a path that is too long or too short for this place
 */
export function rootFromInclusion({ index, size, leaf, path }: InclusionProof): Hash {
  checkSizes('inclusion proof', index, size)
  if (index >= size) throw outOfRange(`inclusion proof: index ${index} is not below tree size ${size}`)
  let root = asHash(leaf, 'inclusion proof: leaf hash')
  let [node, last] = [index, size - 1]
  for (const sibling of path) {
    asHash(sibling, 'inclusion proof: path')
    if (last === 0) throw tooLong('inclusion proof', path.length)
    if (isOdd(node) || node === last) {
      root = nodeHash(sibling, root)
      while (!isOdd(node) && node !== 0) [node, last] = [half(node), half(last)]
    } else {
      root = nodeHash(root, sibling)
    }
    ;[node, last] = [half(node), half(last)]
  }
  if (last !== 0) throw tooShort('inclusion proof', path.length)
  return root
}

/**
 * Verifies that a leaf stands at an index of the tree with this size and root.
 *
 * @throws SteleError `bad_proof`; as {@link rootFromInclusion}
 */
export function verifyInclusion(proof: InclusionProof & { readonly root: Hash }): void {
  checkRoot('inclusion proof', rootFromInclusion(proof), asHash(proof.root, 'inclusion proof: root hash'))
}

export interface ConsistencyProof {
  readonly oldSize: number
  readonly newSize: number
  readonly oldRoot: Hash
  readonly newRoot: Hash
  readonly path: readonly Hash[]
}

/**
 * Verifies that the tree of `newSize` leaves begins with the tree of `oldSize` leaves. Every tree begins with the
 * empty one, whose root is SHA-256 of nothing.
 *
 * @throws SteleError `bad_proof`; `out_of_range` unless oldSize <= newSize < 2^53; `malformed` for a hash of another
 *   length
 */
export function verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path }: ConsistencyProof): void {
  const what = 'consistency proof'
  checkSizes(what, oldSize, newSize)
  if (oldSize > newSize) throw outOfRange(`${what}: old size ${oldSize} is above new size ${newSize}`)
  asHash(newRoot, `${what}: new root hash`)
  checkEmpty(what, newSize, newRoot)
  if (oldSize === 0) {
    checkRoot(what, asHash(oldRoot, `${what}: old root hash`), EMPTY_ROOT)
    if (path.length > 0) throw tooLong(what, path.length)
    return
  }
  verifySubtree({ start: 0, end: oldSize, size: newSize, nodeHash: oldRoot, path, root: newRoot }, what)
}

export interface SubtreeProof {
  readonly start: number
  readonly end: number
  readonly size: number
  readonly nodeHash: Hash
  readonly path: readonly Hash[]
  readonly root: Hash
}

/**
 * Verifies that the hash of leaves [start, end) stands in the tree of `size` leaves (MTC draft, section 4.4).
 *
 * @throws SteleError `bad_proof`; `out_of_range` unless [start, end) is a subtree within the size; `malformed`
 */
export function verifySubtreeConsistency(proof: SubtreeProof): void {
  verifySubtree(proof, 'subtree proof')
}

function verifySubtree({ start, end, size, nodeHash: known, path, root }: SubtreeProof, what: string): void {
  checkSizes(what, start, end, size)
  if (!isSubtree({ begin: start, end }) || end > size) {
    throw outOfRange(`${what}: [${start}, ${end}) is no subtree of ${size} leaves`)
  }
  asHash(known, `${what}: subtree hash`)
  for (const hash of path) asHash(hash, `${what}: path`)
  let at: Place = { first: start, last: end - 1, top: size - 1 }
  // Up to the largest perfect subtree on the right edge of the range; it is the first hash of the proof, unless it
  // is the whole range, whose hash the verifier has.
  const wholeTree = at.last === at.top
  while (at.first !== at.last && (wholeTree || isOdd(at.last))) at = above(at)
  const rest = path[Symbol.iterator]()
  let inner = known
  if (at.first !== at.last) {
    const next = rest.next()
    if (next.done) throw tooShort(what, path.length)
    inner = next.value
  }
  let outer = inner
  for (const sibling of rest) {
    if (at.top === 0) throw tooLong(what, path.length)
    if (isOdd(at.last) || at.last === at.top) {
      if (at.first < at.last) inner = nodeHash(sibling, inner)
      outer = nodeHash(sibling, outer)
      while (!isOdd(at.last) && at.last !== 0) at = above(at)
    } else {
      outer = nodeHash(outer, sibling)
    }
    at = above(at)
  }
  if (at.top !== 0) throw tooShort(what, path.length)
  checkRoot(what, inner, known)
  checkRoot(what, outer, asHash(root, `${what}: root hash`))
}

/** Nodes of one level of the tree: the first and last of the range, and the last of the tree. */
interface Place {
  readonly first: number
  readonly last: number
  readonly top: number
}

function above({ first, last, top }: Place): Place {
  return { first: half(first), last: half(last), top: half(top) }
}

function checkSizes(what: string, ...sizes: number[]): void {
  for (const size of sizes) {
    if (!Number.isSafeInteger(size) || size < 0)
      throw outOfRange(`${what}: expected 0 to 2^53-1, got ${size}`)
  }
}

function checkEmpty(what: string, size: number, root: Hash): void {
  if (size === 0) checkRoot(what, root, EMPTY_ROOT)
}

function checkRoot(what: string, computed: Hash, expected: Hash): void {
  if (equalBytes(computed, expected)) return
  throw badProof(`${what}: leads to ${toHex(computed)}, expected ${toHex(expected)}`)
}

const outOfRange = (message: string): SteleError => new SteleError('out_of_range', message)
const badProof = (message: string): SteleError => new SteleError('bad_proof', message)
const tooLong = (what: string, hashes: number): SteleError =>
  badProof(`${what}: ${hashes} hashes are too many`)
const tooShort = (what: string, hashes: number): SteleError =>
  badProof(`${what}: ${hashes} hashes are too few`)
