import { invariant, SteleError } from '../errors.ts'
import { nodeHash, type Hash } from './hash.ts'

// Everything here is arithmetic on numbers up to 2^53 - 1. `>>`, `&` and `|` would cut an index to 32 bits.

/** The leaves `[begin, end)`. */
export interface LeafRange {
  readonly begin: number
  readonly end: number
}

/** The perfect subtree over the leaves `[index * 2^level, (index + 1) * 2^level)`. Level 0 is the leaves. */
export interface Node {
  readonly level: number
  readonly index: number
}

/**
 * Checks a size or index that did not come through a parser.
 *
 * @throws SteleError `out_of_range` unless it is an integer from 0 to 2^53 - 1
 */
export function checkSize(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new SteleError('out_of_range', `${what}: expected an integer from 0 to 2^53-1, got ${value}`)
  }
}

/**
 * Where RFC 6962 section 2.1 splits n > 1 leaves: the largest power of two strictly smaller than n.
 * Exact to n = 2^53 - 1.
 */
export function splitPoint(n: number): number {
  invariant(n > 1, `${n} leaves cannot be split`)
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/**
 * True if `[start, end)` is a subtree as the Merkle Tree Certificates draft defines one: `start` is a multiple of
 * the smallest power of two that is at least `end - start`. So is any `[0, end)`.
 */
export function isSubtree(start: number, end: number): boolean {
  if (start < 0 || start >= end) return false
  let width = 1
  while (width < end - start) width *= 2
  return start % width === 0
}

/**
 * The perfect subtrees that a range consists of, left to right, each smaller than the one before.
 *
 * @param range one that RFC 6962's recursion meets (a subtree in the sense of {@link isSubtree})
 */
export function coveringNodes({ begin, end }: LeafRange): Node[] {
  const nodes: Node[] = []
  let width = 1
  let level = 0
  while (width * 2 <= end - begin) {
    width *= 2
    level++
  }
  for (let at = begin; at < end; width /= 2, level--) {
    if (width > end - at) continue
    nodes.push({ level, index: at / width })
    at += width
  }
  return nodes
}

/**
 * The hash of a range from the hashes of its {@link coveringNodes}: the lone right node is promoted and
 * joined with its left neighbour, never duplicated (RFC 6962 section 2.1).
 */
export function foldNodes(hashes: readonly Hash[]): Hash {
  invariant(hashes.length > 0, 'nothing to fold')
  return hashes.reduceRight((right, left) => nodeHash(left, right))
}

/** The ranges whose hashes are PATH(index, D[size]) of RFC 6962 section 2.1.1, leaf side first. Needs index < size. */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  return subtreeRanges(index, index + 1, size)
}

/**
 * The ranges whose hashes are PROOF(oldSize, D[newSize]) of RFC 6962 section 2.1.2, in its order. Needs
 * oldSize <= newSize. None for an old size of 0, where the RFC defines no proof: any tree extends the empty one.
 */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  return oldSize === 0 ? [] : subtreeRanges(0, oldSize, newSize)
}

/**
 * The ranges whose hashes are SUBTREE_PROOF(start, end, D[size]) of the Merkle Tree Certificates draft, in its
 * order. Both of RFC 6962's proofs are special cases: a leaf is the subtree `[index, index + 1)`, an older
 * tree the subtree `[0, oldSize)`. Needs a subtree with end <= size.
 */
export function subtreeRanges(start: number, end: number, size: number): LeafRange[] {
  const ranges: LeafRange[] = []
  let whole: LeafRange = { begin: 0, end: size }
  let wanted: LeafRange = { begin: start, end }
  // While true, the verifier has the hash of `wanted`; after a split through it, only that of the two halves together.
  let known = true
  while (whole.begin !== wanted.begin || whole.end !== wanted.end) {
    const middle = whole.begin + splitPoint(whole.end - whole.begin)
    if (wanted.end <= middle) {
      ranges.push({ begin: middle, end: whole.end })
      whole = { begin: whole.begin, end: middle }
      continue
    }
    ranges.push({ begin: whole.begin, end: middle })
    whole = { begin: middle, end: whole.end }
    if (wanted.begin < middle) {
      known = false
      wanted = { begin: middle, end: wanted.end }
    }
  }
  if (!known) ranges.push(whole)
  // Walking down from the root met the root's side first; a proof lists the leaf's side first.
  return ranges.reverse()
}
