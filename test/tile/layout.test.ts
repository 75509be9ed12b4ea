import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { hashesAt, placeOf, tilesAt, widthAt } from '../../src/tile/layout.ts'
import { formatTilePath } from '../../src/tile/path.ts'
import examples from '../vectors/c2sp-examples.json' with { type: 'json' }
import tiles from '../vectors/gen-tiles.json' with { type: 'json' }
import tessera from '../vectors/tile-paths-tessera.json' with { type: 'json' }
import tlog from '../vectors/tlog-golang.json' with { type: 'json' }

const size = fc.oneof(
  fc.nat({ max: 70_000 }),
  fc.maxSafeNat(),
  fc.integer({ min: 2 ** 53 - 999, max: 2 ** 53 - 1 }),
)
const safe = (n: bigint): number => {
  expect(n).toBeLessThanOrEqual(BigInt(Number.MAX_SAFE_INTEGER))
  return Number(n)
}

describe('layout', () => {
  test('a level has one hash for each 256^level leaves, at any size', () => {
    fc.assert(
      fc.property(size, fc.integer({ min: 0, max: 63 }), (size, level) => {
        expect(hashesAt(level, size)).toBe(safe(BigInt(size) / 256n ** BigInt(level)))
      }),
    )
  })

  test('a tile is full below the last hash of its level, partial around it, and not there behind it', () => {
    fc.assert(
      fc.property(
        size,
        fc.integer({ min: 0, max: 7 }),
        fc.integer({ min: -2, max: 2 }),
        (size, level, step) => {
          const hashes = BigInt(size) / 256n ** BigInt(level)
          const index = hashes / 256n + BigInt(step)
          fc.pre(index >= 0n)
          const left = hashes - index * 256n
          const expected = left < 0n ? 0n : left > 256n ? 256n : left
          expect(widthAt(level, safe(index), size)).toBe(safe(expected))
        },
      ),
    )
    expect(widthAt(0, 2 ** 53 - 1, 2 ** 53 - 1)).toBe(0)
  })

  test('the tiles of a size are all tiles with a width, lower levels first, and no others', () => {
    for (const size of [0, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000, 131_073]) {
      const found = [...tilesAt(size)]
      const hashes = new Map<number, number>()
      for (const [i, { level, index, width }] of found.entries()) {
        expect(index * 256).toBe(hashes.get(level) ?? 0)
        hashes.set(level, index * 256 + width)
        expect(level).toBeGreaterThanOrEqual(found[i - 1]?.level ?? 0)
      }
      const expected = [0, 1, 2, 3].map((level) => [level, Math.floor(size / 256 ** level)])
      expect([...hashes]).toEqual(expected.filter(([, count]) => count! > 0))
    }
  })

  test('the place of a node covers its leaves', () => {
    const node = fc.tuple(fc.nat({ max: 52 }), fc.maxSafeNat()).map(([level, at]) => {
      return { level, index: Math.floor(at / 2 ** level) }
    })
    fc.assert(
      fc.property(node, (node) => {
        const { level, index, height, position } = placeOf(node)
        expect(height).toBeLessThan(8)
        expect((position + 1) * 2 ** height).toBeLessThanOrEqual(256)
        // The first of the tile's hashes below the node, and the first leaf below that.
        const hash = BigInt(index) * 256n + BigInt(position) * 2n ** BigInt(height)
        expect(hash * 256n ** BigInt(level)).toBe(BigInt(node.index) * 2n ** BigInt(node.level))
        expect(level * 8 + height).toBe(node.level)
      }),
    )
  })
})

describe('vectors', () => {
  test.each(tiles.cases)('size $size has these partial tiles and these last full tiles', (c) => {
    const size = Number(c.size)
    const levels = c.full_tiles_per_level.length
    const partial = []
    for (let level = 0; level < levels; level++) {
      const full = Number(c.full_tiles_per_level[level])
      const last =
        full > 0 ? formatTilePath({ level, index: full - 1, width: widthAt(level, full - 1, size) }) : null
      expect(last).toBe(c.last_full_tile_per_level[level])
      const width = widthAt(level, full, size)
      if (width > 0) partial.push(formatTilePath({ level, index: full, width }))
    }
    expect(partial).toEqual(c.tiles)
    expect(hashesAt(levels, size)).toBe(0)
    // The largest of them has sixteen million leaves: 65,793 full tiles.
    const all = [...tilesAt(size)]
    expect(all.filter(({ width }) => width < 256).map(formatTilePath)).toEqual(c.tiles)
    expect(all).toHaveLength(c.tiles.length + c.full_tiles_per_level.reduce((sum, n) => sum + Number(n), 0))
  })

  test('the specification’s example of 70,000 entries', () => {
    const c = examples.cases.find((c) => c.name === 'tiles of size 70000')!
    const full = [c.level0_full, c.level1_full, c.level2_full].map(Number)
    const partial = [c.level0_partial_width, c.level1_partial_width, c.level2_partial_width]
    for (const level of [0, 1, 2]) {
      const widths = [...tilesAt(70_000)].filter((tile) => tile.level === level).map(({ width }) => width)
      expect(widths).toEqual([...Array<number>(full[level]!).fill(256), partial[level]])
    }
  })

  // Tessera numbers the levels within a tile from its hashes up, as `height` does.
  test.each(tessera.cases.filter((c) => c.op === 'node-to-tile'))(
    'node $node_level/$node_index is where Tessera looks for it',
    (c) => {
      expect(placeOf({ level: Number(c.node_level), index: Number(c.node_index) })).toEqual({
        level: Number(c.tile_level),
        index: Number(c.tile_index),
        height: Number(c.level_in_tile),
        position: Number(c.index_in_level),
      })
    },
  )

  // Its tiles are 1,024 wide, ours are 256: the numbers do not carry over, but the rule does. What has to be published
  // is each tile of the new size that the old one had not, or had narrower.
  test.each(tlog.cases)('tiles to publish from $old to $new follow the same rule', (c) => {
    const width = 2 ** c.tile_height
    let publish = 0
    for (let level = 0; width ** level <= c.new; level++) {
      const [before, after] = [c.old, c.new].map((size) => Math.floor(size / width ** level))
      if (after! > before!) publish += Math.ceil(after! / width) - Math.floor(before! / width)
    }
    expect(publish).toBe(c.tiles_to_publish)
  })
})
