import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { verifyConsistency, verifyInclusion, verifySubtreeConsistency } from '../../src/merkle/verify.ts'
import { growTree, rebuildTree, type Tree } from '../../src/tile/grow.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { hashesAt, widthAt } from '../../src/tile/layout.ts'
import {
  proveConsistency,
  proveInclusion,
  proveSubtree,
  rootAt,
  type TileSource,
} from '../../src/tile/prove.ts'
import { expectCode } from '../note/expect-code.ts'
import { sparseRangeHash } from '../reference/sparse.ts'
import {
  referenceConsistency,
  referenceInclusion,
  referenceLeaf,
  referenceSubtree,
} from '../reference/tree.ts'
import { slab } from '../support/tiles.ts'

/*
 * Trees of up to 2^53 - 1 leaves, all the same but for a few at places where 32 bits or a rounded double would find
 * another leaf.
 */
const LARGEST = 2 ** 53 - 1
const places = [
  0,
  5,
  255,
  256,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 32 + 5,
  2 ** 40 + 3,
  2 ** 52 - 1,
  2 ** 52,
]
const special = [...places, 2 ** 52 + 2 ** 32 + 5, LARGEST - 300, LARGEST - 256, LARGEST - 2, LARGEST - 1]
const common = referenceLeaf(Uint8Array.of(0))
const leaves = new Map(special.map((index, i) => [index, referenceLeaf(Uint8Array.of(1, i))]))
const leafAt = (index: number): Uint8Array => leaves.get(index) ?? common
const mth = sparseRangeHash(common, leaves)

/** Hashes [begin, end) of a tile level. */
function hashesOf(level: number, begin: number, end: number): Uint8Array {
  const width = 256 ** level
  return slab(
    Array.from({ length: end - begin }, (_, i) => mth((begin + i) * width, (begin + i + 1) * width)),
  )
}

const tiles: TileSource = {
  readTiles: (ids) =>
    Promise.resolve(
      ids.map(({ level, index, width }) => new TileHashes(hashesOf(level, index * 256, index * 256 + width))),
    ),
}

function treeAt(size: number): Tree {
  const partials: Uint8Array[] = []
  for (let level = 0; hashesAt(level, size) > 0; level++) {
    const hashes = hashesAt(level, size)
    partials.push(hashesOf(level, hashes - (hashes % 256), hashes))
  }
  return rebuildTree(size, partials)
}

const text = (hashes: readonly Uint8Array[]): string => hashes.map(toHex).join(' ')
const sizes = [
  2 ** 31 + 1,
  2 ** 32,
  2 ** 32 + 6,
  2 ** 40 + 4,
  2 ** 52,
  2 ** 52 + 1,
  LARGEST - 255,
  LARGEST - 1,
  LARGEST,
]
const size = fc.oneof(fc.constantFrom(...sizes), fc.integer({ min: 2 ** 31, max: LARGEST }))
const place = fc.oneof(fc.constantFrom(...special), fc.maxSafeNat())

describe('trees beyond 2^32 leaves', () => {
  test('have the root of the slow twin, rebuilt and read from tiles', async () => {
    for (const size of sizes) {
      expect(toHex(treeAt(size).root)).toBe(toHex(mth(0, size)))
      expect(toHex(await rootAt(tiles, size))).toBe(toHex(mth(0, size)))
    }
  })

  test('have the proofs of the slow twin, which verify', async () => {
    await fc.assert(
      fc.asyncProperty(size, place, fc.nat({ max: 52 }), async (size, at, level) => {
        const [index, root] = [at % size, mth(0, size)]
        const path = await proveInclusion(tiles, index, size)
        expect(text(path)).toBe(text(referenceInclusion(mth, index, size)))
        verifyInclusion({ index, size, leaf: leafAt(index), path, root })

        const old = index + 1
        const consistency = await proveConsistency(tiles, old, size)
        expect(text(consistency)).toBe(text(referenceConsistency(mth, old, size)))
        verifyConsistency({
          oldSize: old,
          newSize: size,
          oldRoot: mth(0, old),
          newRoot: root,
          path: consistency,
        })

        const start = index - (index % 2 ** level)
        const end = Math.min(start + 2 ** level, size)
        const subtree = await proveSubtree(tiles, start, end, size)
        expect(text(subtree)).toBe(text(referenceSubtree(mth, start, end, size)))
        verifySubtreeConsistency({ start, end, size, nodeHash: mth(start, end), path: subtree, root })
      }),
      { numRuns: 40 },
    )
  })

  test('never prove a leaf 2^32 places away', async () => {
    for (const [index, other] of [
      [2 ** 32 + 5, 5],
      [5, 2 ** 32 + 5],
      [2 ** 52 + 2 ** 32 + 5, 2 ** 52 + 5],
    ] as const) {
      const path = await proveInclusion(tiles, index, LARGEST)
      const proof = { index, size: LARGEST, leaf: leafAt(index), path, root: mth(0, LARGEST) }
      verifyInclusion(proof)
      expectCode(() => verifyInclusion({ ...proof, index: other }), 'bad_proof')
    }
  })

  test.each([2 ** 32 - 200, 2 ** 40 - 1, 2 ** 52 - 256, LARGEST - 400])('grow at size %d', (from) => {
    const until = Math.min(from + 400, LARGEST)
    const added = slab(Array.from({ length: until - from }, (_, i) => leafAt(from + i)))
    const { tree, tiles } = growTree(treeAt(from), added)
    expect(tree).toEqual(treeAt(until))
    expect(toHex(tree.root)).toBe(toHex(mth(0, until)))
    for (const { level, index, hashes } of tiles) {
      expect(widthAt(level, index, from)).toBeLessThan(256)
      expect(widthAt(level, index, until)).toBe(256)
      expect(Buffer.compare(hashes, hashesOf(level, index * 256, (index + 1) * 256))).toBe(0)
    }
    const filled = Array.from({ length: 7 }, (_, level) => {
      return Math.floor(hashesAt(level, until) / 256) - Math.floor(hashesAt(level, from) / 256)
    })
    expect(tiles).toHaveLength(filled.reduce((sum, n) => sum + n))
  })

  test('have no leaf beyond 2^53 - 1', () => {
    const tree = treeAt(LARGEST)
    expectCode(() => growTree(tree, common), 'out_of_range')
  })
})
