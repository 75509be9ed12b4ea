import { createHash } from 'node:crypto'

/*
 * The slow twin: RFC 6962 section 2.1, as plain as it reads. It shares nothing with the code it checks.
 */

const sha256 = (...parts: Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}

/** The hash of an entry as a leaf. */
export function referenceLeaf(entry: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(0), entry)
}

/** The hash of a node over its two children. */
export function referenceNode(left: Uint8Array, right: Uint8Array): Uint8Array {
  return sha256(Uint8Array.of(1), left, right)
}

/** k of RFC 6962 section 2.1: the largest power of two smaller than n. */
export function referenceSplit(n: number): number {
  let k = 1
  while (2 * k < n) k = 2 * k
  return k
}

/** MTH over leaf hashes. */
export function referenceRoot(leaves: readonly Uint8Array[]): Uint8Array {
  if (leaves.length === 0) return sha256()
  if (leaves.length === 1) return leaves[0]!
  const k = referenceSplit(leaves.length)
  return referenceNode(referenceRoot(leaves.slice(0, k)), referenceRoot(leaves.slice(k)))
}

/** MTH(D[begin:end]) of one fixed list of leaves. */
export type RangeHash = (begin: number, end: number) => Uint8Array

/** MTH over ranges of a list that may grow at its end; what was computed once is kept. */
export function rangeHash(leaves: readonly Uint8Array[]): RangeHash {
  const known = new Map<string, Uint8Array>()
  const mth: RangeHash = (begin, end) => {
    if (end === begin) return sha256()
    if (end - begin === 1) return leaves[begin]!
    const key = `${begin}-${end}`
    const k = referenceSplit(end - begin)
    const hash = known.get(key) ?? referenceNode(mth(begin, begin + k), mth(begin + k, end))
    known.set(key, hash)
    return hash
  }
  return mth
}

/** PATH(m, D[0:n]) of RFC 6962 section 2.1.1. */
export function referenceInclusion(mth: RangeHash, m: number, n: number): Uint8Array[] {
  return path(mth, m, 0, n)
}

function path(mth: RangeHash, m: number, begin: number, end: number): Uint8Array[] {
  const n = end - begin
  if (n === 1) return []
  const k = referenceSplit(n)
  if (m < k) return [...path(mth, m, begin, begin + k), mth(begin + k, end)]
  return [...path(mth, m - k, begin + k, end), mth(begin, begin + k)]
}

/** PROOF(m, D[0:n]) of RFC 6962 section 2.1.2, for 0 < m <= n. */
export function referenceConsistency(mth: RangeHash, m: number, n: number): Uint8Array[] {
  return subproof(mth, m, 0, n, true)
}

function subproof(mth: RangeHash, m: number, begin: number, end: number, known: boolean): Uint8Array[] {
  const n = end - begin
  if (m === n) return known ? [] : [mth(begin, end)]
  const k = referenceSplit(n)
  if (m <= k) return [...subproof(mth, m, begin, begin + k, known), mth(begin + k, end)]
  return [...subproof(mth, m - k, begin + k, end, false), mth(begin, begin + k)]
}

/** SUBTREE_PROOF(start, end, D[0:n]) of the Merkle tree certificates draft, section 4.4.1. */
export function referenceSubtree(mth: RangeHash, start: number, end: number, n: number): Uint8Array[] {
  return subtreeSubproof(mth, start, end, 0, n, true)
}

function subtreeSubproof(
  mth: RangeHash,
  start: number,
  end: number,
  low: number,
  high: number,
  known: boolean,
): Uint8Array[] {
  const n = high - low
  if (start === 0 && end === n) return known ? [] : [mth(low, high)]
  const k = referenceSplit(n)
  const [left, right] = [mth(low, low + k), mth(low + k, high)]
  if (end <= k) return [...subtreeSubproof(mth, start, end, low, low + k, known), right]
  if (k <= start) return [...subtreeSubproof(mth, start - k, end - k, low + k, high, known), left]
  return [...subtreeSubproof(mth, 0, end - k, low + k, high, false), left]
}

/** The subtrees of a tree of n leaves: start is a multiple of the smallest power of two not below the length. */
export function referenceSubtrees(n: number): { start: number; end: number }[] {
  const subtrees: { start: number; end: number }[] = []
  for (let start = 0; start < n; start++) {
    for (let end = start + 1; end <= n; end++) {
      const power = [1, 2, 4, 8, 16, 32, 64, 128].find((power) => power >= end - start)!
      if (start % power === 0) subtrees.push({ start, end })
    }
  }
  return subtrees
}
