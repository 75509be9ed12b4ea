import { describe, expect, test } from 'vitest'
import { parseBase64, toBase64 } from '../../src/bytes/base64.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { decodeBundle, encodeBundle } from '../../src/tile/bundle.ts'
import { edgeTile, EMPTY_TREE, growTree, rebuildTree } from '../../src/tile/grow.ts'
import { tilesAt } from '../../src/tile/layout.ts'
import { formatBundlePath, formatTilePath } from '../../src/tile/path.ts'
import { proveConsistency, proveInclusion } from '../../src/tile/prove.ts'
import { verifyConsistency, verifyInclusion } from '../../src/merkle/verify.ts'
import { MemoryTiles, slab } from '../support/tiles.ts'
import testlog from '../vectors/tessera-testlog.json' with { type: 'json' }

/** A size of the log: its checkpoint, and its files by path. */
type Case = Readonly<Record<string, string>>

const cases: readonly Case[] = testlog.cases
const sizeOf = (c: Case): number => Number(c['size'])
// Line 3 of a checkpoint; its signature is checked where notes are.
const rootOf = (c: Case): string => c['checkpoint']!.split('\n')[2]!
const file = (c: Case, path: string): Uint8Array => parseBase64(c[path]!, path)
const entriesOf = (c: Case): Uint8Array[] => {
  const size = sizeOf(c)
  return size === 0 ? [] : decodeBundle(file(c, formatBundlePath(0, size)), size)
}

describe('a log written by Tessera', () => {
  test.each(cases)('at size $size has our tiles, our bundle and our root', (c) => {
    const entries = entriesOf(c)
    const { tree } = growTree(EMPTY_TREE, slab(entries.map(leafHash)))
    expect(toBase64(tree.root)).toBe(rootOf(c))
    for (const tile of tilesAt(sizeOf(c))) {
      expect(file(c, formatTilePath(tile))).toEqual(edgeTile(tree, tile.level))
      expect(file(c, formatBundlePath(tile.index, tile.width))).toEqual(encodeBundle(entries))
    }
    const files = Object.keys(c).filter((path) => path.startsWith('tile/'))
    expect(files).toHaveLength(2 * [...tilesAt(sizeOf(c))].length)
  })

  test.each(cases.slice(1))('at size $size has a root that its tile alone makes', (c) => {
    const tile = file(c, formatTilePath({ level: 0, index: 0, width: sizeOf(c) }))
    expect(toBase64(rebuildTree(sizeOf(c), [tile]).root)).toBe(rootOf(c))
  })

  test('proves each of its heads consistent with the next, and each of its entries', async () => {
    const last = cases.at(-1)!
    const [size, root] = [sizeOf(last), parseBase64(rootOf(last), 'root')]
    const leaves = entriesOf(last).map(leafHash)
    const tiles = MemoryTiles.of(leaves)
    for (const older of cases.slice(1)) {
      const [oldSize, oldRoot] = [sizeOf(older), parseBase64(rootOf(older), 'root')]
      const path = await proveConsistency(tiles, oldSize, size)
      verifyConsistency({ oldSize, newSize: size, oldRoot, newRoot: root, path })
    }
    for (const [index, leaf] of leaves.entries()) {
      verifyInclusion({ index, size, leaf, path: await proveInclusion(tiles, index, size), root })
    }
    expect(entriesOf(last).slice(0, 2)).toEqual(['one', 'two'].map(encodeUtf8))
  })
})
