import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/bytes/bytes.ts'
import { HttpFiles } from '../../src/client/http-files.ts'
import { readEntries } from '../../src/client/verified-entries.ts'
import { VerifiedTiles, type TileCache } from '../../src/client/verified-tiles.ts'
import { hasCode } from '../../src/errors.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { tilesAt } from '../../src/tile/layout.ts'
import { formatTilePath, type TileId } from '../../src/tile/path.ts'
import { proveInclusion, rootAt } from '../../src/tile/prove.ts'
import { all, FakeClock, FakeLog, flipped, URL_PREFIX } from './fake-log.ts'

// Three levels: 256 full tiles at level 0, a full one at level 1, and partial ones at all three.
const DEEP = 65_536 + 700

let deep: FakeLog
beforeAll(async () => {
  deep = await FakeLog.create(DEEP)
})

function filesOf(log: FakeLog): HttpFiles {
  return new HttpFiles(URL_PREFIX, { fetch: log.fetch, clock: new FakeClock() }, { deadlineMs: 0 })
}

function tilesOf(log: FakeLog, cache?: TileCache): VerifiedTiles {
  return new VerifiedTiles(filesOf(log), log.tree, cache)
}

const tileIds = (log: FakeLog): TileId[] => [...tilesAt(log.tree.size)]

describe('verified tiles', () => {
  it('are those of the log, on every level and at its right edge', async () => {
    const ids = tileIds(deep)
    const tiles = await tilesOf(deep).readTiles(ids)
    expect(ids.map(({ level }) => level)).toContain(2)
    ids.forEach((id, i) => expect(equalBytes(tiles[i]!.bytes, deep.tile(id)!), formatTilePath(id)).toBe(true))
  })

  it('are asked for once each, however many ask at a time', async () => {
    deep.asked = []
    const tiles = tilesOf(deep)
    const wanted = { level: 0, index: 7, width: 256 }
    await Promise.all([tiles.readTiles([wanted, wanted]), tiles.readTiles([wanted]), rootAt(tiles, 256 * 8)])
    expect(deep.asked.sort()).toEqual([...new Set(deep.asked)].sort())
    // The right edge of three levels, the two full tiles on the way down.
    expect(deep.asked).toHaveLength(5)
  })

  it('are never given with a byte turned over, whichever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...tileIds(deep)), fc.nat(8191), async (id, at) => {
        const path = formatTilePath(id)
        const bytes = deep.tile(id)!
        deep.lie = (asked) => (asked === path ? flipped(bytes, at % bytes.length) : undefined)
        await expect(tilesOf(deep).readTiles([id])).rejects.toMatchObject({ code: 'bad_proof' })
      }),
      { numRuns: 40 },
    )
    deep.lie = () => undefined
  })

  it('prove what is true of the log', async () => {
    const tiles = tilesOf(deep)
    const { size, root } = deep.tree
    for (const index of [0, 255, 256, 65_535, 65_536, DEEP - 1]) {
      const path = await proveInclusion(tiles, index, size)
      verifyInclusion({ index, size, leaf: leafHash(deep.entries[index]!), path, root })
    }
  })

  it('are refused beyond the head', async () => {
    for (const id of [
      { level: 0, index: 258, width: 189 },
      { level: 0, index: 259, width: 1 },
      { level: 1, index: 1, width: 3 },
      { level: 3, index: 0, width: 1 },
    ]) {
      await expect(tilesOf(deep).readTiles([id])).rejects.toMatchObject({ code: 'out_of_range' })
    }
  })

  it('are cut from full ones where the partial ones are gone', async () => {
    const log = await FakeLog.create(300)
    const head = log.tree
    await log.add(Array.from({ length: 300 }, (_, i) => `later ${i}`))
    log.partials = false
    log.asked = []
    const tiles = new VerifiedTiles(filesOf(log), head)
    const [tile] = await tiles.readTiles([{ level: 0, index: 1, width: 44 }])
    expect(tile!.bytes).toEqual(log.tile({ level: 0, index: 1, width: 44 }))
    expect(log.asked).toContain('tile/0/001.p/44')
    expect(log.asked).toContain('tile/0/001')
    const last = await all(readEntries(filesOf(log), tiles, 299, 300))
    expect(last.map(({ entry }) => new TextDecoder().decode(entry))).toEqual(['entry 299'])
  })

  it('say which tile the log does not serve, and which has a wrong length', async () => {
    const log = await FakeLog.create(300)
    log.lie = (path) => (path === 'tile/0/000' ? new Response(null, { status: 404 }) : undefined)
    const wanted = [{ level: 0, index: 0, width: 256 }]
    await expect(tilesOf(log).readTiles(wanted)).rejects.toMatchObject({
      code: 'not_found',
      message: 'tile/0/000: the log does not serve it',
    })
    log.lie = (path) => (path === 'tile/0/000' ? new Uint8Array(8191) : undefined)
    await expect(tilesOf(log).readTiles(wanted)).rejects.toMatchObject({ code: 'unexpected_answer' })
    log.lie = (path) => (path === 'tile/0/000' ? new Uint8Array(8193) : undefined)
    await expect(tilesOf(log).readTiles(wanted)).rejects.toMatchObject({ code: 'unexpected_answer' })
  })

  it('are asked for again after a failure', async () => {
    const log = await FakeLog.create(300)
    const tiles = tilesOf(log)
    for (const path of ['tile/0/001.p/44', 'tile/0/000']) {
      log.lie = (asked) => (asked === path ? new Response(null, { status: 502 }) : undefined)
      const wanted = [
        path === 'tile/0/000' ? { level: 0, index: 0, width: 256 } : { level: 0, index: 1, width: 1 },
      ]
      await expect(tiles.readTiles(wanted)).rejects.toMatchObject({ code: 'unreachable' })
      log.lie = () => undefined
      await expect(tiles.readTiles(wanted)).resolves.toHaveLength(1)
    }
  })
})

describe('a tile cache', () => {
  it('spares the log, and is not believed', async () => {
    const log = await FakeLog.create(600)
    const kept = new Map<string, Uint8Array>()
    const cache: TileCache = {
      get: async (path) => kept.get(path),
      set: async (path, bytes) => void kept.set(path, bytes),
    }
    const wanted = [
      { level: 0, index: 0, width: 256 },
      { level: 0, index: 1, width: 256 },
    ]
    await tilesOf(log, cache).readTiles(wanted)
    expect([...kept.keys()]).toEqual(['tile/0/000', 'tile/0/001'])
    kept.set('tile/0/001', flipped(kept.get('tile/0/001')!, 5))
    log.asked = []
    const [, second] = await tilesOf(log, cache).readTiles(wanted)
    expect(log.asked.filter((path) => !path.includes('.p/'))).toEqual(['tile/0/001'])
    expect(second!.bytes).toEqual(log.tile(wanted[1]!))
    expect(kept.get('tile/0/001')).toEqual(second!.bytes)
  })
})

describe('verified entries', () => {
  it('come in order, from any range, read ahead or not', async () => {
    const log = await FakeLog.create(1000)
    await fc.assert(
      fc.asyncProperty(fc.nat(1000), fc.nat(1000), fc.integer({ min: 1, max: 5 }), async (a, b, ahead) => {
        const [begin, end] = [Math.min(a, b), Math.max(a, b)]
        const read = await all(readEntries(filesOf(log), tilesOf(log), begin, end, ahead))
        expect(read.map(({ index }) => index)).toEqual(
          Array.from({ length: end - begin }, (_, i) => begin + i),
        )
        expect(read.map(({ entry }) => entry)).toEqual(log.entries.slice(begin, end))
      }),
      { numRuns: 20 },
    )
  })

  it.each([5, 300, 999])('name the first index that is wrong: %i', async (index) => {
    const log = await FakeLog.create(1000)
    log.lie = (path) => {
      const tampered = Object.assign(new FakeLog(), { tree: log.tree, entries: [...log.entries] })
      tampered.entries[index] = log.entries[index]!.map((byte) => byte ^ 1)
      return path.startsWith('tile/entries/') ? tampered.file(path) : undefined
    }
    const read: number[] = []
    const reading = (async () => {
      for await (const entry of readEntries(filesOf(log), tilesOf(log), 0, 1000)) read.push(entry.index)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'bad_proof' })
    await expect(reading).rejects.toThrow(`entry ${index}: its leaf hash is`)
    // Nothing of the bundle that holds it was given.
    expect(read).toHaveLength(Math.floor(index / 256) * 256)
  })

  it('refuse bundles that are none, or hold another number of entries', async () => {
    const log = await FakeLog.create(300)
    const bundle = log.bundle(1, 44)!
    for (const bad of [
      bundle.subarray(0, -1),
      log.bundle(1, 43)!,
      new Uint8Array(0),
      Uint8Array.of(255, 255, 1),
    ]) {
      log.lie = (path) => (path.startsWith('tile/entries/001') ? bad : undefined)
      const error = await all(readEntries(filesOf(log), tilesOf(log), 256, 300)).catch((e: unknown) => e)
      expect(hasCode(error, 'malformed')).toBe(true)
    }
    log.lie = (path) => (path.startsWith('tile/entries/') ? new Response(null, { status: 404 }) : undefined)
    await expect(all(readEntries(filesOf(log), tilesOf(log), 256, 300))).rejects.toMatchObject({
      code: 'not_found',
    })
  })

  it.each([
    [-1, 2],
    [3, 2],
    [0, 11],
    [0.5, 1],
    [Number.NaN, 1],
  ])('refuse the range [%d, %d) of a log of 10', async (begin, end) => {
    const log = await FakeLog.create(10)
    const reading = all(readEntries(filesOf(log), tilesOf(log), begin, end))
    await expect(reading).rejects.toMatchObject({ code: 'out_of_range' })
  })
})
