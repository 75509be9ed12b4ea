import { referenceNode, referenceSplit, type RangeHash } from './tree.ts'

/**
 * MTH over ranges of a list of up to 2^53 - 1 leaves that are all the same, but for a few. A range without any of
 * those few has a hash that depends on its length alone, so that a tree nobody could build has a known root.
 */
export function sparseRangeHash(common: Uint8Array, special: ReadonlyMap<number, Uint8Array>): RangeHash {
  const places = [...special.keys()]
  const byLength = new Map<number, Uint8Array>([[1, common]])
  const uniform = (n: number): Uint8Array => {
    const k = n === 1 ? 0 : referenceSplit(n)
    const hash = byLength.get(n) ?? referenceNode(uniform(k), uniform(n - k))
    byLength.set(n, hash)
    return hash
  }
  const mth: RangeHash = (begin, end) => {
    if (!places.some((place) => begin <= place && place < end)) return uniform(end - begin)
    if (end - begin === 1) return special.get(begin)!
    const k = referenceSplit(end - begin)
    return referenceNode(mth(begin, begin + k), mth(begin + k, end))
  }
  return mth
}
