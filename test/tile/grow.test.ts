import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { toHex } from '../../src/bytes/hex.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { leafHash, sha256 } from '../../src/merkle/hash.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { edgeTile, EMPTY_TREE, growTree, rebuildTree, type FullTile, type Tree } from '../../src/tile/grow.ts'
import { tilesAt, widthAt } from '../../src/tile/layout.ts'
import { formatTilePath } from '../../src/tile/path.ts'
import { expectCode } from '../note/expect-code.ts'
import { rangeHash, referenceLeaf, referenceRoot } from '../reference/tree.ts'
import { MemoryTiles, slab } from '../support/tiles.ts'
import tileBytes from '../vectors/gen-tile-bytes.json' with { type: 'json' }

// Enough for two tiles of level 1 and a partial one of level 2.
const MOST = 2 * 65_536 + 1000
const leaves = Array.from({ length: MOST }, (_, i) => referenceLeaf(Uint8Array.of(i / 65_536, i / 256, i)))
const all = slab(leaves)
const mth = rangeHash(leaves)

interface Grown {
  readonly tree: Tree
  readonly tiles: FullTile[]
}

/** Grows the tree of the first leaves, cut at these sizes. */
function grow(...sizes: number[]): Grown {
  let grown: Grown = { tree: EMPTY_TREE, tiles: [] }
  for (const size of sizes) {
    const { tree, tiles } = growTree(grown.tree, all.subarray(grown.tree.size * 32, size * 32))
    grown = { tree, tiles: [...grown.tiles, ...tiles] }
  }
  return grown
}

/** A tree and its tiles as short text, for comparing. */
function text({ tree, tiles }: Grown): string {
  const full = tiles.map(({ level, index, hashes }) => `${level}/${index} ${toHex(sha256(hashes))}`)
  const partials = tree.edge.partials.map((bytes) => toHex(sha256(bytes)))
  return [tree.size, toHex(tree.root), toHex(sha256(tree.edge.subtrees)), ...partials, ...full].join('\n')
}

/** The hashes that a tile has by definition, each the root of its own leaves. */
function referenceTile(level: number, index: number, width: number): Uint8Array {
  const leavesOf = 256 ** level
  const first = index * 256
  return slab(
    Array.from({ length: width }, (_, i) => mth((first + i) * leavesOf, (first + i + 1) * leavesOf)),
  )
}

const whole = grow(MOST)
const edges = [
  0,
  1,
  2,
  3,
  254,
  255,
  256,
  257,
  511,
  512,
  513,
  65_535,
  65_536,
  65_537,
  131_071,
  131_072,
  131_073,
  MOST,
]

describe('growTree', () => {
  test('has the root of the slow twin at every size to 64, leaf by leaf', () => {
    let tree: Tree = EMPTY_TREE
    for (let size = 0; size <= 64; size++) {
      expect(tree.size).toBe(size)
      expect(toHex(tree.root)).toBe(toHex(referenceRoot(leaves.slice(0, size))))
      expect(toHex(edgeTile(tree, 0))).toBe(toHex(all.subarray(0, size * 32)))
      tree = growTree(tree, leaves[size]!).tree
    }
  })

  test.each(edges)('has the root of the slow twin at size %d', (size) => {
    expect(toHex(grow(size).tree.root)).toBe(toHex(mth(0, size)))
  })

  test('gives the same tree and the same tiles in whatever batches', () => {
    const size = fc.oneof(fc.integer({ min: 0, max: 3000 }), fc.constantFrom(255, 256, 257, 512, 1024))
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 12 }), (sizes) => {
        const sorted = sizes.toSorted((a, b) => a - b)
        expect(text(grow(...sorted))).toBe(text(grow(sorted.at(-1)!)))
      }),
      { numRuns: 60 },
    )
    expect(text(grow(...edges))).toBe(text(whole))
  })

  test('gives a tile when its last leaf comes, lower levels first', () => {
    const expected = [...tilesAt(MOST)]
      .filter(({ width }) => width === 256)
      .toSorted(
        (a, b) => (a.index + 1) * 256 ** a.level - (b.index + 1) * 256 ** b.level || a.level - b.level,
      )
    expect(whole.tiles.map(({ level, index }) => `${level}/${index}`)).toEqual(
      expected.map(({ level, index }) => `${level}/${index}`),
    )
    const [last] = grow(65_535, 65_536).tiles.slice(-1)
    expect(last).toMatchObject({ level: 1, index: 0 })
    expect(grow(255).tiles).toEqual([])
    expect(grow(256).tiles).toHaveLength(1)
  })

  test('leaves the tree that it grows from as it was', () => {
    for (const size of [0, 1, 255, 256, 300, 65_535]) {
      const before = grow(size)
      const kept = text(before)
      growTree(before.tree, all.subarray(size * 32, (size + 300) * 32))
      growTree(before.tree, all.subarray(0, 300 * 32))
      expect(text(before)).toBe(kept)
    }
  })

  test('grows two trees from one, and keeps nothing of the leaf hashes it was given', () => {
    const { tree } = grow(250)
    const input = all.slice(250 * 32, 600 * 32)
    const one = growTree(tree, input)
    const other = growTree(tree, all.subarray(0, 350 * 32))
    input.fill(0)
    expect(toHex(one.tree.root)).toBe(toHex(mth(0, 600)))
    expect(toHex(other.tree.root)).toBe(
      toHex(referenceRoot([...leaves.slice(0, 250), ...leaves.slice(0, 350)])),
    )
  })

  test('appending nothing gives the same tree', () => {
    const { tree } = grow(300)
    expect(growTree(tree, new Uint8Array(0))).toEqual({ tree, tiles: [] })
    expect(growTree(EMPTY_TREE, new Uint8Array(0)).tree.root).toEqual(referenceRoot([]))
  })

  test('half a hash is our own bug', () => {
    expectCode(() => growTree(EMPTY_TREE, new Uint8Array(33)), 'internal')
  })
})

describe('tiles', () => {
  test.each(edges)('at size %d they are those that the layout names, and hold the right hashes', (size) => {
    const { tree, tiles } = grow(size)
    const found = new MemoryTiles(tree, tiles)
    const named = new Map([...tilesAt(size)].map(({ level, index, width }) => [`${level}/${index}`, width]))
    expect(found.widths()).toEqual(named)
    for (const tile of tilesAt(size)) {
      const expected = referenceTile(tile.level, tile.index, tile.width)
      expect(Buffer.compare(found.bytes(tile), expected)).toBe(0)
    }
  })

  test('at every size to 1,030 the partial ones are prefixes of the full ones', () => {
    const full = new MemoryTiles(whole.tree, whole.tiles)
    let tree: Tree = EMPTY_TREE
    for (let size = 1; size <= 1030; size++) {
      tree = growTree(tree, leaves[size - 1]!).tree
      for (let level = 0; level < 3; level++) {
        const index = Math.floor(size / 256 ** (level + 1))
        const width = widthAt(level, index, size)
        const partial = edgeTile(tree, level)
        expect(partial).toHaveLength(width * 32)
        if (width > 0) expect(Buffer.compare(partial, full.bytes({ level, index, width }))).toBe(0)
      }
    }
  })

  test('a level without a partial tile has none of its hashes', () => {
    expect(edgeTile(EMPTY_TREE, 0)).toHaveLength(0)
    expect(edgeTile(grow(256).tree, 0)).toHaveLength(0)
    expect(edgeTile(grow(256).tree, 1)).toHaveLength(32)
    expect(edgeTile(grow(256).tree, 2)).toHaveLength(0)
  })

  test.each(tileBytes.cases)('and bundles have the bytes of the vectors at size $size', (c) => {
    const entries = Array.from({ length: Number(c.size) }, (_, i) => encodeUtf8(`entry-${i}`))
    const { tree, tiles } = growTree(EMPTY_TREE, slab(entries.map(leafHash)))
    expect(toBase64(tree.root)).toBe(c.root_base64)
    const files = new Map<string, Uint8Array>()
    const grown = new MemoryTiles(tree, tiles)
    for (const tile of tilesAt(tree.size)) {
      files.set(formatTilePath(tile), grown.bytes(tile))
      const { level, index, width } = tile
      const bundle = encodeBundle(entries.slice(index * 256, index * 256 + width))
      if (level === 0) files.set(formatTilePath(tile).replace('tile/0', 'tile/entries'), bundle)
    }
    const expected: Record<string, { bytes: number; sha256_hex: string; base64?: string } | undefined> =
      c.files
    expect([...files.keys()].toSorted()).toEqual(Object.keys(expected).toSorted())
    for (const [path, bytes] of files) {
      expect(bytes).toHaveLength(expected[path]!.bytes)
      expect(toHex(sha256(bytes))).toBe(expected[path]!.sha256_hex)
      const { base64 } = expected[path]!
      if (base64 !== undefined) expect(bytes).toEqual(parseBase64(base64, 'vector'))
    }
  })
})

describe('rebuildTree', () => {
  test.each([...edges, 1000, 66_000])('makes the tree of %d leaves out of its partial tiles', (size) => {
    const { tree } = grow(size)
    expect(rebuildTree(size, tree.edge.partials)).toEqual(tree)
  })

  test('makes a tree that grows as the one before it would have', () => {
    fc.assert(
      fc.property(fc.nat({ max: 3000 }), fc.nat({ max: 600 }), (size, more) => {
        const { tree } = grow(size)
        const added = all.subarray(size * 32, (size + more) * 32)
        const rebuilt = growTree(rebuildTree(size, tree.edge.partials), added)
        expect(text(rebuilt)).toBe(text(growTree(tree, added)))
      }),
      { numRuns: 60 },
    )
  })

  test('levels above the last one may be left out, and empty ones given', () => {
    const { tree } = grow(300)
    const [first, second] = tree.edge.partials
    const given = [first!, second!, new Uint8Array(0), new Uint8Array(0)]
    expect(toHex(rebuildTree(300, given).root)).toBe(toHex(tree.root))
    expect(growTree(rebuildTree(0, [new Uint8Array(0)]), all.subarray(0, 32)).tree.size).toBe(1)
  })

  test('keeps none of the bytes it was given', () => {
    const { tree } = grow(300)
    const given = tree.edge.partials.map((bytes) => bytes.slice())
    const rebuilt = rebuildTree(300, given)
    for (const bytes of given) bytes.fill(0)
    expect(rebuilt).toEqual(tree)
  })

  test('takes no partial tile of another width, and none where the size has none', () => {
    const { tree } = grow(300)
    const [first, second] = tree.edge.partials
    for (const [size, partials] of [
      [300, []],
      [300, [first!]],
      [301, [first!, second!]],
      [300, [first!.slice(32), second!]],
      [300, [first!.slice(1), second!]],
      [300, [first!, second!, first!]],
      [44, [first!, second!]],
      [0, [first!]],
    ] as const) {
      expectCode(() => rebuildTree(size, partials), 'internal')
    }
    expectCode(() => rebuildTree(2 ** 53, []), 'out_of_range')
    expectCode(() => rebuildTree(-1, []), 'out_of_range')
    expectCode(() => rebuildTree(NaN, []), 'out_of_range')
  })
})
