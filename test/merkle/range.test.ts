import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { asHash } from '../../src/merkle/hash.ts'
import {
  checkSize,
  consistencyRanges,
  coveringNodes,
  foldNodes,
  inclusionRanges,
  isSubtree,
  splitPoint,
  subtreeRanges,
  type LeafRange,
} from '../../src/merkle/range.ts'
import {
  rangeHash,
  referenceConsistency,
  referenceInclusion,
  referenceLeaf,
  referenceSplit,
  referenceSubtree,
  referenceSubtrees,
} from '../reference/tree.ts'
import { expectCode } from '../note/expect-code.ts'

const MOST = 64
const mth = rangeHash(Array.from({ length: 3000 }, (_, i) => referenceLeaf(Uint8Array.of(i / 256, i))))
// Compared as text: deep equality of thousands of small arrays takes most of a test's time.
const text = (hashes: readonly Uint8Array[]): string => hashes.map(toHex).join(' ')
const hashes = (ranges: readonly LeafRange[]): string => text(ranges.map(({ begin, end }) => mth(begin, end)))

const sizes = Array.from({ length: MOST }, (_, i) => i + 1)
const bigSize = fc.integer({ min: 1, max: 3000 })

describe('splitPoint', () => {
  test('is the largest power of two that is smaller', () => {
    const expected = [2, 3, 4, 5, 7, 8, 9, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1].map(splitPoint)
    expect(expected).toEqual([1, 2, 2, 4, 4, 4, 8, 2 ** 31, 2 ** 32, 2 ** 52])
  })

  test('is the slow twin’s, and a single leaf has none', () => {
    for (const n of sizes.slice(1)) expect(splitPoint(n)).toBe(referenceSplit(n))
    for (const n of [1, 0, -1, NaN]) expectCode(() => splitPoint(n), 'internal')
  })
})

describe('isSubtree', () => {
  test('is what the draft says, for every range within 64 leaves', () => {
    const subtrees = new Set(referenceSubtrees(MOST).map(({ start, end }) => `${start}-${end}`))
    for (let begin = -1; begin <= MOST; begin++) {
      for (let end = -1; end <= MOST; end++) {
        expect(isSubtree(begin, end)).toBe(subtrees.has(`${begin}-${end}`))
      }
    }
  })

  test('holds above 2^32 as below', () => {
    expect(isSubtree(2 ** 40, 2 ** 40 + 2 ** 39)).toBe(true)
    expect(isSubtree(2 ** 40, 2 ** 41 + 1)).toBe(false)
    expect(isSubtree(2 ** 40 + 1, 2 ** 40 + 3)).toBe(false)
    expect(isSubtree(0, 2 ** 53 - 1)).toBe(true)
  })
})

describe('proof ranges', () => {
  test('of inclusion are PATH, at every size to 64', () => {
    for (const size of sizes) {
      for (let index = 0; index < size; index++) {
        expect(hashes(inclusionRanges(index, size))).toBe(text(referenceInclusion(mth, index, size)))
      }
    }
  })

  test('of consistency are PROOF, for every two sizes to 64', () => {
    for (const size of sizes) {
      for (let old = 1; old <= size; old++) {
        expect(hashes(consistencyRanges(old, size))).toBe(text(referenceConsistency(mth, old, size)))
      }
    }
  })

  test('of every subtree are SUBTREE_PROOF, at every size to 64', () => {
    for (const size of sizes) {
      for (const { start, end } of referenceSubtrees(size)) {
        const ranges = subtreeRanges(start, end, size)
        expect(hashes(ranges)).toBe(text(referenceSubtree(mth, start, end, size)))
      }
    }
  })

  test('are those of the slow twin at random sizes', () => {
    fc.assert(
      fc.property(bigSize, fc.nat(), fc.nat({ max: 11 }), (size, at, level) => {
        const [index, old] = [at % size, (at % size) + 1]
        expect(hashes(inclusionRanges(index, size))).toBe(text(referenceInclusion(mth, index, size)))
        expect(hashes(consistencyRanges(old, size))).toBe(text(referenceConsistency(mth, old, size)))
        const start = index - (index % 2 ** level)
        const end = Math.min(start + 2 ** level, size)
        expect(hashes(subtreeRanges(start, end, size))).toBe(text(referenceSubtree(mth, start, end, size)))
      }),
      { numRuns: 300 },
    )
  })

  test('make up the rest of the tree: with the leaf they cover every leaf once', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (at, n) => {
        const size = Math.max(1, n)
        const index = at % size
        const ranges = [...inclusionRanges(index, size), { begin: index, end: index + 1 }]
        let covered = 0
        for (const { begin, end } of ranges.toSorted((a, b) => a.begin - b.begin)) {
          expect(begin).toBe(covered)
          covered = end
        }
        expect(covered).toBe(size)
      }),
    )
  })

  test('are none for the empty tree, which every tree extends', () => {
    expect(consistencyRanges(0, 5)).toEqual([])
    expect(consistencyRanges(0, 0)).toEqual([])
  })

  test('are asked for beyond the tree only by a bug', () => {
    expectCode(() => inclusionRanges(5, 5), 'internal')
    expectCode(() => consistencyRanges(6, 5), 'internal')
    expectCode(() => subtreeRanges(4, 6, 5), 'internal')
  })
})

describe('checkSize', () => {
  test('lets through what a number holds exactly, and nothing else', () => {
    for (const n of [0, 1, 2 ** 32, 2 ** 53 - 1]) checkSize(n, 'test')
    for (const n of [-1, 0.5, 2 ** 53, NaN, Infinity, -Infinity]) {
      expectCode(() => checkSize(n, 'test'), 'out_of_range')
    }
  })
})

describe('foldNodes', () => {
  test('makes the root of any size out of its perfect subtrees', () => {
    for (const size of [...sizes, 100, 255, 256, 257, 2047, 3000]) {
      const nodes = coveringNodes({ begin: 0, end: size })
      const hashes = nodes.map(({ level, index }) => mth(index * 2 ** level, (index + 1) * 2 ** level))
      expect(foldNodes(hashes.map((hash) => asHash(hash, 'test')))).toEqual(mth(0, size))
    }
    expectCode(() => foldNodes([]), 'internal')
  })
})

describe('coveringNodes', () => {
  test('cover a subtree from left to right, each smaller than the one before', () => {
    const range = fc.tuple(fc.maxSafeNat(), fc.maxSafeNat(), fc.nat({ max: 52 }))
    fc.assert(
      fc.property(range, ([at, length, level]) => {
        const begin = at - (at % 2 ** level)
        const end = Math.min(2 ** 53 - 1, begin + (length % 2 ** level) + 1)
        fc.pre(begin < end)
        const nodes = coveringNodes({ begin, end })
        let covered = begin
        for (const { level, index } of nodes) {
          expect(index * 2 ** level).toBe(covered)
          covered += 2 ** level
        }
        expect(covered).toBe(end)
        const levels = nodes.map(({ level }) => level)
        expect(levels).toEqual([...new Set(levels)].toSorted((a, b) => b - a))
      }),
    )
  })

  test('are one for each one bit of a size', () => {
    expect(coveringNodes({ begin: 0, end: 2 ** 53 - 1 })).toHaveLength(53)
    expect(coveringNodes({ begin: 0, end: 2 ** 52 })).toEqual([{ level: 52, index: 0 }])
    expect(coveringNodes({ begin: 8, end: 13 })).toEqual([
      { level: 2, index: 2 },
      { level: 0, index: 12 },
    ])
    expect(coveringNodes({ begin: 0, end: 0 })).toEqual([])
  })
})
