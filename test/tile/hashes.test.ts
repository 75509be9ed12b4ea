import { describe, expect, test } from 'vitest'
import { TileHashes } from '../../src/tile/hashes.ts'
import { expectCode } from '../note/expect-code.ts'
import { rangeHash, referenceLeaf } from '../reference/tree.ts'
import { slab } from '../support/tiles.ts'

const leaves = Array.from({ length: 256 }, (_, i) => referenceLeaf(Uint8Array.of(i)))
const mth = rangeHash(leaves)

/** Every node of a tile of this width, as height and position. */
function nodesOf(width: number): [height: number, position: number][] {
  const heights = [0, 1, 2, 3, 4, 5, 6, 7, 8]
  return heights.flatMap((height) =>
    Array.from({ length: Math.floor(width / 2 ** height) }, (_, position): [number, number] => [
      height,
      position,
    ]),
  )
}

describe('the hashes of a tile', () => {
  test.each([1, 2, 3, 127, 128, 255, 256])('of width %d have the right nodes above them', (width) => {
    const tile = new TileHashes(slab(leaves.slice(0, width)))
    expect(tile.width).toBe(width)
    // Each twice: computed, then kept. From the top down, so that a node finds its children missing.
    for (const [height, position] of [...nodesOf(width).toReversed(), ...nodesOf(width)]) {
      const expected = mth(position * 2 ** height, (position + 1) * 2 ** height)
      expect(Buffer.compare(tile.node(height, position), expected)).toBe(0)
    }
  })

  test('give nodes that stay as they are when others are asked for', () => {
    const tile = new TileHashes(slab(leaves))
    const root = tile.node(8, 0)
    const kept = root.slice()
    for (const [height, position] of nodesOf(256)) tile.node(height, position)
    expect(root).toEqual(kept)
    expect(tile.bytes).toEqual(slab(leaves))
  })

  test('have no node beyond their width: to ask for one is our own bug', () => {
    const tile = new TileHashes(slab(leaves.slice(0, 5)))
    for (const [height, position] of [
      [0, 5],
      [1, 2],
      [2, 1],
      [3, 0],
      [8, 0],
    ] as const) {
      expectCode(() => tile.node(height, position), 'internal')
    }
  })

  test('are 1 to 256 whole hashes', () => {
    for (const length of [0, 1, 31, 33, 8191, 8193, 8224]) {
      expectCode(() => new TileHashes(new Uint8Array(length)), 'malformed')
    }
  })
})
