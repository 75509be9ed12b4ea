import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogFiles } from '../../src/client/http-files.ts'
import { SteleError } from '../../src/errors.ts'
import { repairRange } from '../../src/scrub/repair.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import type { FullTileId, LogStore, Repair } from '../../src/storage/store.ts'
import { encodeBundle } from '../../src/tile/bundle.ts'
import { EMPTY_TREE, growTree, type FullTile, type Tree } from '../../src/tile/grow.ts'
import { instead } from '../support/instead.ts'
import { slab } from '../support/tiles.ts'

const entry = (index: number): Uint8Array => new TextEncoder().encode(`entry ${index}`)

/** A log of some size, whole. */
interface Whole {
  readonly tree: Tree
  readonly tiles: readonly FullTile[]
  readonly store: LogStore
  readonly files: LogFiles
}

async function logOf(size: number): Promise<Whole> {
  const entries = Array.from({ length: size }, (_, i) => entry(i))
  const { tree, tiles } = growTree(EMPTY_TREE, slab(entries.map(leafHash)))
  const store = new MemoryStore()
  await store.commit({ from: 0, entries, tiles, head: { size, record: new Uint8Array(1) } })
  const files: LogFiles = {
    checkpoint: async () => '',
    tile: async (level, index) => (await store.readTiles([{ level, index }]))[0],
    bundle: async (index, width) => encodeBundle(await store.readEntries(index * 256, index * 256 + width)),
  }
  return { tree, tiles, store, files }
}

/** What is wrong with a disk: entries and tiles that are gone (undefined) or other than what was written. */
class Damage {
  readonly entries = new Map<number, Uint8Array | undefined>()
  readonly tiles = new Map<string, Uint8Array | undefined>()
  /** Everything that was ever written to it. */
  readonly written: string[] = []

  on(whole: LogStore): LogStore {
    return instead<LogStore>(whole, {
      readEntries: async (begin, end) => {
        const entries = await whole.readEntries(begin, end)
        return entries.map((right, i) => {
          if (!this.entries.has(begin + i)) return right
          const found = this.entries.get(begin + i)
          if (!found) throw new SteleError('corrupt', `entry ${begin + i} is not there`)
          return found
        })
      },
      readTiles: async (ids: readonly FullTileId[]) => {
        const tiles = await whole.readTiles(ids)
        return tiles.map((right, i) => {
          const key = `${ids[i]!.level}/${ids[i]!.index}`
          return this.tiles.has(key) ? this.tiles.get(key) : right
        })
      },
      repair: async (repair: Repair) => {
        await whole.repair(repair)
        for (const { index } of repair.entries) {
          this.entries.delete(index)
          this.written.push(`entry ${index}`)
        }
        for (const { level, index } of repair.tiles) {
          this.tiles.delete(`${level}/${index}`)
          this.written.push(`tile ${level}/${index}`)
        }
      },
    })
  }

  get all(): string[] {
    return [
      ...[...this.entries.keys()].map((index) => `entry ${index}`),
      ...[...this.tiles.keys()].map((tile) => `tile ${tile}`),
    ]
  }
}

const NOTHING = { entries: 0, tiles: 0 }
const ROT = new Uint8Array([1, 2, 3])

describe('repairing a range', () => {
  test('puts back all that is damaged from a whole copy, and writes nothing else', async () => {
    const sizes = [1, 5, 255, 256, 300, 512, 1000]
    const wholes = new Map(await Promise.all(sizes.map(async (size) => [size, await logOf(size)] as const)))
    const places = fc.array(fc.tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.boolean()), {
      maxLength: 12,
    })
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...sizes), places, places, async (size, entries, tiles) => {
        const { tree, store, files } = wholes.get(size)!
        const damage = new Damage()
        for (const [at, gone] of entries) damage.entries.set(Math.floor(at * size), gone ? undefined : ROT)
        for (const [at, gone] of size < 256 ? [] : tiles) {
          const index = Math.floor(at * Math.floor(size / 256))
          damage.tiles.set(`0/${index}`, gone ? undefined : new Uint8Array(8192).fill(9))
        }
        const damaged = damage.all
        const counts = { entries: damage.entries.size, tiles: damage.tiles.size }
        const report = await repairRange(damage.on(store), tree, { files, size })
        expect(report).toMatchObject({ repaired: counts, lost: NOTHING })
        expect(damage.written.toSorted()).toEqual(damaged.toSorted())
        expect(damage.all).toEqual([])
      }),
      { numRuns: 150 },
    )
  })

  test('a dry run finds the same and writes nothing', async () => {
    const { tree, store, files } = await logOf(600)
    const damage = new Damage()
    damage.entries.set(7, ROT)
    damage.tiles.set('0/1', undefined)
    const report = await repairRange(damage.on(store), tree, { files, size: 600 }, { dryRun: true })
    expect(report).toMatchObject({ repaired: { entries: 1, tiles: 1 }, examples: ['entry 7', 'tile 0/1'] })
    expect(damage.written).toEqual([])
  })

  test('what a copy has wrongly, or not at all, is never written: it is named as lost', async () => {
    const { tree, store } = await logOf(600)
    const older = await logOf(400)
    const damage = new Damage()
    for (const index of [100, 399, 450, 599]) damage.entries.set(index, ROT)
    const lying = instead<LogFiles>(older.files, {
      bundle: async (index, width) =>
        encodeBundle(Array.from({ length: width }, (_, i) => (i === 100 ? ROT : entry(index * 256 + i)))),
    })
    const source = { files: lying, size: 400 }
    // The newest entries are what everything is reached from, and the copy lacks them.
    await expect(repairRange(damage.on(store), tree, source)).rejects.toMatchObject({ code: 'corrupt' })
    damage.entries.delete(599)
    expect(await repairRange(damage.on(store), tree, source)).toMatchObject({
      repaired: { entries: 1, tiles: 0 },
      lost: { entries: 2, tiles: 0 },
      examples: ['entry 100', 'entry 399', 'entry 450'],
    })
    expect(damage.written).toEqual(['entry 399'])
  })

  test('a tile that no copy has is made from the entries below it', async () => {
    const { tree, store } = await logOf(600)
    const damage = new Damage()
    damage.tiles.set('0/0', new Uint8Array(8192))
    damage.tiles.set('0/1', undefined)
    const empty = { files: (await logOf(0)).files, size: 0 }
    expect(await repairRange(damage.on(store), tree, empty)).toMatchObject({ repaired: { tiles: 2 } })
    expect(damage.all).toEqual([])
  })

  test('a whole upper tile, the tiles below it and their entries are found from the root down', async () => {
    const { tree, store, files } = await logOf(66_000)
    const damage = new Damage()
    damage.tiles.set('1/0', new Uint8Array(8192).fill(1))
    damage.tiles.set('0/17', undefined)
    damage.tiles.set('0/256', ROT)
    damage.entries.set(17 * 256 + 3, undefined)
    damage.entries.set(65_999, ROT)
    const report = await repairRange(damage.on(store), tree, { files, size: 66_000 })
    expect(report).toMatchObject({
      checked: { entries: 66_000, tiles: 258 },
      repaired: { entries: 2, tiles: 3 },
      lost: NOTHING,
    })
    expect(damage.all).toEqual([])

    // Where neither is left, nobody can say what the tile was.
    damage.tiles.set('0/17', undefined)
    damage.entries.set(17 * 256 + 3, undefined)
    const none = await repairRange(damage.on(store), tree, { files, size: 256 })
    expect(none).toMatchObject({
      checked: { entries: 66_000 - 256 },
      repaired: NOTHING,
      lost: { entries: 0, tiles: 1 },
    })
  })

  test('a range looks at its own entries and the tiles above them alone', async () => {
    const { tree, store, files } = await logOf(2000)
    const damage = new Damage()
    for (const index of [100, 700, 1900]) damage.entries.set(index, ROT)
    const report = await repairRange(damage.on(store), tree, { files, size: 2000 }, { begin: 600, end: 800 })
    expect(report).toMatchObject({ checked: { entries: 512 }, repaired: { entries: 1 } })
    expect(damage.written).toEqual(['entry 700'])
  })
})
