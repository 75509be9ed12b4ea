import { invariant } from '../errors.ts'

/** The leaves with indexes begin to end - 1. */
export interface LeafRange {
  readonly begin: number
  readonly end: number
}

/** The perfect subtree of 2^level leaves that begins at leaf index * 2^level. */
export interface Node {
  readonly level: number
  readonly index: number
}

/**
 * The largest power of two smaller than n: where RFC 6962 splits a tree of n leaves.
 *
 * @param n 2 to 2^53 - 1
 */
export function splitPoint(n: number): number {
  invariant(n >= 2, `a tree of ${n} leaves cannot be split`)
  let k = 1
  while (k * 2 < n) k *= 2
  return k
}

/**
 * True for ranges whose hash a tree can have as a node of its own or of one of its prefixes: begin is a multiple of
 * the smallest power of two that is not below the range's length (MTC draft, section 4.1).
 */
export function isSubtree({ begin, end }: LeafRange): boolean {
  if (!(begin >= 0 && begin < end)) return false
  let power = 1
  while (power < end - begin) power *= 2
  return begin % power === 0
}

/**
 * What proves that a subtree stands in the tree of `size` leaves, as leaf ranges in the order of the proof: its
 * inclusion proof for a single leaf, a consistency proof when it begins at 0.
 *
 * @throws an internal error unless the range is a subtree that ends within the size
 */
export function subtreeRanges({ begin, end }: LeafRange, size: number): LeafRange[] {
  invariant(isSubtree({ begin, end }) && end <= size, `[${begin}, ${end}) is no subtree of ${size} leaves`)
  const siblings: LeafRange[] = []
  let [low, high] = [0, size]
  // Whether the verifier has the hash of what is left, which holds until the range is cut.
  let known = true
  let from = begin
  while (!(from === low && end === high)) {
    const middle = low + splitPoint(high - low)
    if (end <= middle) {
      siblings.push({ begin: middle, end: high })
      high = middle
    } else {
      siblings.push({ begin: low, end: middle })
      if (from < middle) {
        from = middle
        known = false
      }
      low = middle
    }
  }
  if (!known) siblings.push({ begin: low, end: high })
  return siblings.toReversed()
}

/** PATH(index, size) of RFC 6962 section 2.1.1, as leaf ranges. */
export function inclusionRanges(index: number, size: number): LeafRange[] {
  return subtreeRanges({ begin: index, end: index + 1 }, size)
}

/** PROOF(oldSize, newSize) of RFC 6962 section 2.1.2, as leaf ranges, for 0 < oldSize <= newSize. */
export function consistencyRanges(oldSize: number, newSize: number): LeafRange[] {
  return subtreeRanges({ begin: 0, end: oldSize }, newSize)
}

/** The fewest perfect subtrees that make up a subtree, left to right, largest first. */
export function coveringNodes({ begin, end }: LeafRange): Node[] {
  const nodes: Node[] = []
  let [power, level] = [1, 0]
  while (power * 2 <= end - begin) [power, level] = [power * 2, level + 1]
  for (let at = begin; at < end; [power, level] = [power / 2, level - 1]) {
    if (at + power > end) continue
    nodes.push({ level, index: at / power })
    at += power
  }
  return nodes
}
