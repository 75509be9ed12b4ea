import * as fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { toHex } from '../../src/bytes/hex.ts'
import { SteleError } from '../../src/errors.ts'
import { verifyConsistency, verifyInclusion, verifySubtreeConsistency } from '../../src/merkle/verify.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { widthAt } from '../../src/tile/layout.ts'
import {
  proveConsistency,
  proveInclusion,
  proveSubtree,
  rootAt,
  type TileSource,
} from '../../src/tile/prove.ts'
import {
  rangeHash,
  referenceConsistency,
  referenceInclusion,
  referenceLeaf,
  referenceSubtree,
  referenceSubtrees,
} from '../reference/tree.ts'
import { MemoryTiles } from '../support/tiles.ts'

// A partial tile on each of three levels.
const CURRENT = 65_536 + 700
const leaves = Array.from({ length: CURRENT }, (_, i) => referenceLeaf(Uint8Array.of(i / 65_536, i / 256, i)))
const mth = rangeHash(leaves)
const small = MemoryTiles.of(leaves.slice(0, 64))
const big = MemoryTiles.of(leaves)
const text = (hashes: readonly Uint8Array[]): string => hashes.map(toHex).join(' ')

beforeEach(() => {
  small.reads.length = 0
  big.reads.length = 0
})

/** What one proof may ask of its source: everything in one read, no tile twice, none wider than the size has it. */
function checkReads(source: MemoryTiles, size: number): void {
  expect(source.reads.length).toBeLessThanOrEqual(1)
  for (const tiles of source.reads) {
    expect(tiles.length).toBeGreaterThan(0)
    expect(new Set(tiles.map(({ level, index }) => `${level}/${index}`)).size).toBe(tiles.length)
    for (const { level, index, width } of tiles) expect(width).toBe(widthAt(level, index, size))
  }
  source.reads.length = 0
}

async function checkInclusion(source: MemoryTiles, index: number, size: number): Promise<void> {
  const path = await proveInclusion(source, index, size)
  expect(source.reads).toHaveLength(size === 1 ? 0 : 1)
  checkReads(source, size)
  expect(text(path)).toBe(text(referenceInclusion(mth, index, size)))
  verifyInclusion({ index, size, leaf: leaves[index]!, path, root: mth(0, size) })
}

async function checkConsistency(source: MemoryTiles, oldSize: number, newSize: number): Promise<void> {
  const path = await proveConsistency(source, oldSize, newSize)
  expect(source.reads).toHaveLength(oldSize === newSize ? 0 : 1)
  checkReads(source, newSize)
  expect(text(path)).toBe(text(referenceConsistency(mth, oldSize, newSize)))
  verifyConsistency({ oldSize, newSize, oldRoot: mth(0, oldSize), newRoot: mth(0, newSize), path })
}

async function checkSubtree(source: MemoryTiles, start: number, end: number, size: number): Promise<void> {
  const path = await proveSubtree(source, start, end, size)
  checkReads(source, size)
  expect(text(path)).toBe(text(referenceSubtree(mth, start, end, size)))
  verifySubtreeConsistency({ start, end, size, nodeHash: mth(start, end), path, root: mth(0, size) })
}

describe('proofs read from the tiles of a larger tree are those of the slow twin', () => {
  const sizes = Array.from({ length: 64 }, (_, i) => i + 1)

  test('inclusion, at every place of every size to 64', async () => {
    for (const size of sizes) {
      for (let index = 0; index < size; index++) await checkInclusion(small, index, size)
    }
  })

  test('consistency, between every two sizes to 64', async () => {
    for (const size of sizes) {
      for (let old = 1; old <= size; old++) await checkConsistency(small, old, size)
    }
  })

  test('every subtree, at sizes to 64', async () => {
    for (const size of [1, 2, 3, 5, 8, 13, 21, 32, 33, 47, 63, 64]) {
      for (const { start, end } of referenceSubtrees(size)) await checkSubtree(small, start, end, size)
    }
  })

  const edges = [255, 256, 257, 511, 512, 513, 65_279, 65_280, 65_535, 65_536, 65_537, 65_792, CURRENT]
  const size = fc.oneof(fc.integer({ min: 1, max: CURRENT }), fc.constantFrom(...edges))

  test('at random sizes up to the current one, and around the edges of tiles', async () => {
    await fc.assert(
      fc.asyncProperty(size, fc.nat(), fc.nat({ max: 16 }), async (size, at, level) => {
        const index = at % size
        await checkInclusion(big, index, size)
        await checkConsistency(big, index + 1, size)
        const start = index - (index % 2 ** level)
        await checkSubtree(big, start, Math.min(start + 2 ** level, size), size)
        expect(toHex(await rootAt(big, size))).toBe(toHex(mth(0, size)))
        checkReads(big, size)
      }),
      { numRuns: 150 },
    )
  })

  test('between every two of the sizes around the edges of tiles', async () => {
    for (const newSize of edges) {
      for (const oldSize of edges.filter((size) => size <= newSize)) {
        await checkConsistency(big, oldSize, newSize)
        await checkInclusion(big, oldSize - 1, newSize)
      }
    }
  })
})

describe('the root hash', () => {
  test('of every size to 64 is that of the slow twin', async () => {
    for (let size = 0; size <= 64; size++) expect(toHex(await rootAt(small, size))).toBe(toHex(mth(0, size)))
  })

  test('of the empty tree is known without asking', async () => {
    await rootAt(small, 0)
    expect(small.reads).toEqual([])
  })
})

describe('out of range', () => {
  const noNumbers = [-1, 0.5, NaN, Infinity, 2 ** 53, 2 ** 64]

  async function expectRefused(proof: Promise<unknown>): Promise<void> {
    await expect(proof).rejects.toMatchObject({ name: 'SteleError', code: 'out_of_range' })
    expect(big.reads).toEqual([])
  }

  test.each([
    [5, 5],
    [6, 5],
    [0, 0],
    ...noNumbers.flatMap((n) => [
      [n, 5],
      [0, n],
    ]),
  ])('is the inclusion of leaf %d in size %d', (index, size) =>
    expectRefused(proveInclusion(big, index, size)),
  )

  test.each([
    [0, 5],
    [0, 0],
    [6, 5],
    ...noNumbers.flatMap((n) => [
      [n, 5],
      [3, n],
    ]),
  ])('is the consistency of size %d with size %d', (old, size) =>
    expectRefused(proveConsistency(big, old, size)),
  )

  test.each([
    [1, 3, 5],
    [4, 4, 5],
    [4, 6, 5],
    [6, 4, 8],
    ...noNumbers.flatMap((n) => [
      [n, 4, 5],
      [0, n, 5],
      [0, 4, n],
    ]),
  ])('is the subtree [%d, %d) of size %d', (start, end, size) =>
    expectRefused(proveSubtree(big, start, end, size)),
  )

  test.each(noNumbers)('is the root hash at size %d', (size) => expectRefused(rootAt(big, size)))
})

describe('a source', () => {
  test('that fails makes the proof fail with its own error', async () => {
    const failing: TileSource = {
      readTiles: () => Promise.reject(new SteleError('unreachable', 'no answer')),
    }
    await expect(proveInclusion(failing, 3, 7)).rejects.toMatchObject({ code: 'unreachable' })
    await expect(rootAt(failing, 7)).rejects.toMatchObject({ code: 'unreachable' })
  })

  test('may give wider tiles than were asked for', async () => {
    const wide: TileSource = {
      readTiles: (tiles) =>
        Promise.resolve(
          tiles.map(({ level, index }) => {
            const width = widthAt(level, index, CURRENT)
            return new TileHashes(big.bytes({ level, index, width }))
          }),
        ),
    }
    for (const size of [3, 255, 257, 65_537]) {
      expect(text(await proveInclusion(wide, 2, size))).toBe(text(referenceInclusion(mth, 2, size)))
      expect(toHex(await rootAt(wide, size))).toBe(toHex(mth(0, size)))
    }
  })
})
