import { describe, expect, test } from 'vitest'
import { leafHash, type Hash } from '../../src/merkle/hash.ts'
import type { Commit, LogStore, Repair } from '../../src/storage/store.ts'
import { TileHashes } from '../../src/tile/hashes.ts'

export interface StoreFixture {
  /** A store without any commit. */
  readonly open: () => Promise<LogStore>
  /** The same state again, by whatever means a restart has; undefined where nothing outlives the process. */
  readonly reopen?: (store: LogStore) => Promise<LogStore>
}

const record = (text: string): Uint8Array => new TextEncoder().encode(text)
const entry = (index: number): Uint8Array => record(`entry ${index}`)
const entries = (begin: number, end: number): Uint8Array[] =>
  Array.from({ length: end - begin }, (_, i) => entry(begin + i))

/** As text, for LevelDB answers Buffers where memory answers plain arrays. */
const texts = (list: readonly Uint8Array[]): string[] => list.map((bytes) => Buffer.from(bytes).toString())
const headText = async (store: LogStore): Promise<[number, string] | undefined> => {
  const head = await store.readHead()
  return head && [head.size, Buffer.from(head.record).toString()]
}

/** A step from one size to another, with the level-0 tiles that it completes (made-up hashes). */
export function step(from: number, to: number, headOf = `head ${to}`): Commit {
  const tiles = []
  for (let index = Math.floor(from / 256); (index + 1) * 256 <= to; index++) {
    tiles.push({ level: 0, index, hashes: new Uint8Array(8192).fill(index + 1) })
  }
  return { from, entries: entries(from, to), tiles, head: { size: to, record: record(headOf) } }
}

/** Entries by index, and a level-0 tile of made-up hashes, with the hashes that they make. */
function repairOf(texts: Record<number, string>, tile?: number): Repair {
  const repaired = Object.entries(texts).map(([index, text]) => {
    return { index: Number(index), entry: record(text), leafHash: leafHash(record(text)) }
  })
  const hashes = new Uint8Array(8192).fill(77)
  const root: Hash = new TileHashes(hashes).node(8, 0)
  return { entries: repaired, tiles: tile === undefined ? [] : [{ level: 0, index: tile, hashes, root }] }
}

/** What every store promises. */
export function storeContract(name: string, fixture: () => StoreFixture): void {
  describe(`the storage contract, kept by ${name}`, () => {
    const make = async (): Promise<{ store: LogStore; again: (s: LogStore) => Promise<LogStore> }> => {
      const { open, reopen } = fixture()
      return { store: await open(), again: reopen ?? (async (s) => s) }
    }

    test('a new store has no head', async () => {
      const { store } = await make()
      expect(await store.readHead()).toBeUndefined()
      await store.close()
    })

    test('what a commit wrote is read back, also after a restart', async () => {
      const { store, again } = await make()
      await store.commit(step(0, 0))
      await store.commit(step(0, 3))
      await store.commit(step(3, 600))
      const reopened = await again(store)
      expect(await headText(reopened)).toEqual([600, 'head 600'])
      expect(texts(await reopened.readEntries(0, 600))).toEqual(texts(entries(0, 600)))
      expect(texts(await reopened.readEntries(255, 257))).toEqual(texts(entries(255, 257)))
      const tiles = await reopened.readTiles([
        { level: 0, index: 1 },
        { level: 0, index: 2 },
        { level: 0, index: 0 },
      ])
      expect(tiles.map((tile) => tile?.[0])).toEqual([2, undefined, 1])
      await reopened.close()
    })

    test('entries of every length from nothing to 65,535 bytes survive', async () => {
      const { store, again } = await make()
      const odd = [0, 1, 255, 256, 65_535].map((length) => new Uint8Array(length).fill(length % 251))
      await store.commit({ from: 0, entries: odd, tiles: [], head: { size: 5, record: record('h') } })
      const reopened = await again(store)
      const back = await reopened.readEntries(0, 5)
      expect(back.map((bytes) => Buffer.from(bytes).equals(odd[back.indexOf(bytes)]!))).toEqual(
        odd.map(() => true),
      )
      await reopened.close()
    })

    test('an upper tile is kept beside the lower one that ends at the same leaf', async () => {
      const { store, again } = await make()
      const lower = { level: 0, index: 255, hashes: new Uint8Array(8192).fill(1) }
      const upper = { level: 1, index: 0, hashes: new Uint8Array(8192).fill(2) }
      await store.commit(step(0, 65_535))
      await store.commit({
        from: 65_535,
        entries: [entry(65_535)],
        tiles: [lower, upper],
        head: { size: 65_536, record: record('h') },
      })
      const reopened = await again(store)
      const [low, up] = await reopened.readTiles([lower, upper])
      expect([low?.[0], up?.[0]]).toEqual([1, 2])
      await reopened.close()
    })

    test('a head can be re-signed at the same size, the empty tree included', async () => {
      const { store, again } = await make()
      await store.commit(step(0, 0, 'first'))
      await store.commit(step(0, 0, 'second'))
      expect(await headText(store)).toEqual([0, 'second'])
      await store.commit(step(0, 2))
      await store.commit(step(2, 2, 'anew'))
      const reopened = await again(store)
      expect(await headText(reopened)).toEqual([2, 'anew'])
      expect(texts(await reopened.readEntries(0, 2))).toEqual(texts(entries(0, 2)))
      await reopened.close()
    })

    test('a commit that grows from another size is refused and changes nothing', async () => {
      const { store } = await make()
      await store.commit(step(0, 10))
      await expect(store.commit(step(0, 5))).rejects.toMatchObject({ code: 'stale_size' })
      await expect(store.commit(step(9, 12))).rejects.toMatchObject({ code: 'stale_size' })
      await expect(store.commit(step(11, 12))).rejects.toMatchObject({ code: 'stale_size' })
      expect(await headText(store)).toEqual([10, 'head 10'])
      expect(store.failure).toBeUndefined()
      await store.commit(step(10, 12))
      await store.close()
    })

    test('a range is cut where its bytes are used up, though never to nothing', async () => {
      const { store } = await make()
      await store.commit(step(0, 20))
      const bytes = entry(0).length
      expect(texts(await store.readEntries(0, 9, 3 * bytes))).toEqual(texts(entries(0, 3)))
      expect(texts(await store.readEntries(4, 9, 0))).toEqual(texts(entries(4, 5)))
      expect(await store.readEntries(4, 4, 0)).toEqual([])
      await store.close()
    })

    test('a range that is not all there names the first index that is missing', async () => {
      const { store } = await make()
      await store.commit(step(0, 20))
      await expect(store.readEntries(10, 25)).rejects.toThrow(/entry 20 /)
      await expect(store.readEntries(30, 31)).rejects.toMatchObject({ code: 'corrupt' })
      await store.close()
    })

    test('what is put back is read back, the head and all else stay, and commits go on', async () => {
      const { store, again } = await make()
      await store.commit(step(0, 600))
      // Other bytes than were committed, so that it shows that they were written.
      await store.repair(repairOf({ 3: 'three', 599: 'last' }, 1))
      await store.commit(step(600, 601))
      const reopened = await again(store)
      expect(await headText(reopened)).toEqual([601, 'head 601'])
      const expected = texts(entries(0, 601))
      expected[3] = 'three'
      expected[599] = 'last'
      expect(texts(await reopened.readEntries(0, 601))).toEqual(expected)
      const [first, second] = await reopened.readTiles([0, 1].map((index) => ({ level: 0, index })))
      expect([first?.[0], second?.[0]]).toEqual([1, 77])
      await reopened.close()
    })

    test('nothing is put where nothing was committed, and a refused repair changes nothing', async () => {
      const { store } = await make()
      await store.commit(step(0, 500))
      for (const repair of [repairOf({ 0: 'zero', 500: 'beyond' }), repairOf({ 0: 'zero' }, 1)])
        await expect(store.repair(repair)).rejects.toMatchObject({ code: 'out_of_range' })
      expect(texts(await store.readEntries(0, 500))).toEqual(texts(entries(0, 500)))
      expect(store.failure).toBeUndefined()
      await store.close()
    })

    test('bytes that do not make their hash are never put back', async () => {
      const { store } = await make()
      await store.commit(step(0, 600))
      const { entries: right, tiles } = repairOf({ 3: 'three' }, 1)
      const other = leafHash(record('four'))
      const wrong: Repair[] = [
        { entries: [{ ...right[0]!, leafHash: other }], tiles: [] },
        { entries: [], tiles: [{ ...tiles[0]!, root: other }] },
        { entries: [], tiles: [{ ...tiles[0]!, hashes: tiles[0]!.hashes.subarray(32) }] },
      ]
      for (const repair of wrong) {
        await expect(store.repair(repair)).rejects.toMatchObject({ code: 'internal' })
        expect(texts(await store.readEntries(3, 4))).toEqual(texts(entries(3, 4)))
        expect((await store.readTiles([{ level: 0, index: 1 }]))[0]?.[0]).toBe(2)
      }
      await store.close()
    })

    test('reads during a commit see a committed state', async () => {
      const { store } = await make()
      await store.commit(step(0, 100))
      const committing = store.commit(step(100, 3000))
      const head = await store.readHead()
      expect([100, 3000]).toContain(head?.size)
      expect(texts(await store.readEntries(0, 100))).toEqual(texts(entries(0, 100)))
      await committing
      expect((await store.readHead())?.size).toBe(3000)
      await store.close()
    })
  })
}
