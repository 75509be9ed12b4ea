import { describe, expect, test, vi } from 'vitest'
import { verifyInclusion } from '../../src/merkle/verify.ts'
import { leafHash } from '../../src/merkle/hash.ts'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { openLog } from '../../src/log/open.ts'
import { MemoryLeafIndex } from '../../src/storage/leaf-index.ts'
import { instead } from '../support/instead.ts'
import { bytes, checkDisk, Disk, openTestLog, OPTIONS } from './fixture.ts'

const lines = (begin: number, end: number): Uint8Array[] =>
  Array.from({ length: end - begin }, (_, i) => bytes(`entry ${begin + i}`))

const SIZE = 3000
const STEP = 256
const SMALL = { indexing: { atOpening: 0, step: STEP } }

/** A log whose leaf index is gone, and is made again one step at a time. */
class LostIndex {
  readonly disk: Disk
  #permits = 0
  #waiting: (() => void)[] = []
  /** The lowest index of each write. */
  readonly writes: number[] = []
  /** What the next write fails with. */
  failure: Error | undefined

  private constructor(disk: Disk) {
    this.disk = disk
  }

  static async make(options: Partial<LogOptions> = {}): Promise<LostIndex> {
    const disk = await Disk.create()
    const log = await openTestLog(disk, options)
    await log.append(lines(0, SIZE))
    await log.close()
    disk.index = new MemoryLeafIndex()
    return new LostIndex(disk)
  }

  open(options: Partial<LogOptions> = {}): Promise<Log> {
    const { index } = this.disk
    const gated = instead(index, {
      write: async (leaves) => {
        if (this.#permits-- <= 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
        if (this.failure) throw this.failure
        this.writes.push(Math.min(...leaves.map((leaf) => leaf.index)))
        await index.write(leaves)
      },
    })
    // Fields of the class behind it, not of a copy.
    const live = new Proxy(gated, {
      get: (target, name) => (name === 'cursor' ? index.cursor : Reflect.get(target, name)),
    })
    return openLog({ ...this.disk.parts(), index: live }, { ...OPTIONS, ...SMALL, ...options })
  }

  /** Lets so many writes happen. */
  allow(steps: number): void {
    this.#permits += steps
    for (const go of this.#waiting.splice(0, steps)) go()
  }

  /** Resolves once the cursor is there. */
  async until(cursor: number): Promise<void> {
    await vi.waitUntil(() => this.disk.index.cursor >= cursor)
  }

  /** As after a kill: the process that was making it is gone. */
  killed(): void {
    this.#waiting = []
    this.#permits = 0
  }
}

describe('a log whose leaf index is lost', () => {
  test('serves at once, and says how far the index is, while it refuses entries', async () => {
    const lost = await LostIndex.make()
    const log = await lost.open()
    expect(log.status).toMatchObject({ state: 'indexing', indexLag: SIZE })
    lost.allow(4)
    await lost.until(4 * STEP)
    expect(log.status.indexLag).toBe(SIZE - 4 * STEP)
    expect(log.status.reason).toContain('holds 1024 of 3000 leaves')
    await expect(log.append([bytes('entry 5')])).rejects.toMatchObject({
      code: 'index_behind',
      retryAfterSeconds: expect.any(Number) as number,
    })

    // Reads and proofs by index, and look-ups of what is in it already.
    const [entry] = await log.readEntries(2999, 3000)
    const leaf = leafHash(entry!)
    const { size, root } = log.published
    verifyInclusion({ index: 2999, size, leaf, path: await log.proveInclusion(2999, size), root })
    expect(await log.findLeaf(leafHash(bytes('entry 1023')))).toBe(1023)
    await expect(log.findLeaf(leafHash(bytes('entry 1024')))).rejects.toMatchObject({ code: 'index_behind' })
    await expect(log.findLeaf(leafHash(bytes('nowhere')))).rejects.toMatchObject({ code: 'index_behind' })

    lost.allow(1000)
    await vi.waitUntil(() => log.status.state === 'serving')
    expect(log.status).toMatchObject({ indexLag: 0, reason: undefined })
    expect(await log.findLeaf(leafHash(bytes('nowhere')))).toBeUndefined()
    const again = await log.append([...lines(0, SIZE), bytes('new')])
    expect(again.placements.map(({ index }) => index)).toEqual(Array.from({ length: SIZE + 1 }, (_, i) => i))
    expect(again.placements.filter(({ duplicate }) => !duplicate)).toHaveLength(1)
    await log.close()
    expect(await checkDisk(lost.disk)).toHaveLength(SIZE + 1)
    expect(lost.disk.index.cursor).toBe(SIZE + 1)
  })

  test('goes on from the cursor when it is killed meanwhile, and when it is closed', async () => {
    const lost = await LostIndex.make()
    await lost.open()
    lost.allow(3)
    await lost.until(3 * STEP)
    lost.killed()
    const log = await lost.open()
    lost.allow(2)
    await lost.until(5 * STEP)
    const closed = log.close()
    // What was on its way ends: of the rest nothing is begun.
    lost.allow(1)
    await closed
    const { cursor } = lost.disk.index
    expect([5 * STEP, 6 * STEP]).toContain(cursor)
    const third = await lost.open()
    lost.allow(1000)
    await vi.waitUntil(() => third.status.state === 'serving')
    expect(lost.writes).toEqual(Array.from({ length: 12 }, (_, i) => i * STEP))
    expect((await third.append([bytes('entry 2999')])).placements[0]).toMatchObject({ index: 2999 })
    await third.close()
  })

  test('takes entries at once where duplicates are allowed, and finds the lowest index at the end', async () => {
    const lost = await LostIndex.make({ allowDuplicates: true })
    const log = await lost.open({ allowDuplicates: true })
    expect(log.status.state).toBe('serving')
    lost.allow(1)
    await lost.until(STEP)
    const { placements } = await log.append([bytes('entry 2000'), bytes('new'), bytes('new')])
    expect(placements.map(({ index }) => index)).toEqual([SIZE, SIZE + 1, SIZE + 2])
    await expect(log.findLeaf(leafHash(bytes('new')))).rejects.toMatchObject({ code: 'index_behind' })
    lost.allow(10)
    await lost.until(11 * STEP)
    // So near the end that they queue.
    await log.append([bytes('entry 1'), bytes('late')])
    lost.allow(1000)
    await vi.waitUntil(() => log.status.indexLag === 0)
    for (const [text, index] of [
      ['entry 1', 1],
      ['entry 2000', 2000],
      ['new', SIZE + 1],
      ['late', SIZE + 4],
    ] as const) {
      expect(await log.findLeaf(leafHash(bytes(text)))).toBe(index)
    }
    expect(log.status.pendingLeaves).toBe(0)
    await log.close()
    expect(lost.disk.index.cursor).toBe(SIZE + 5)
  })

  test('halts where its index cannot be written, and serves reads', async () => {
    const lost = await LostIndex.make()
    lost.failure = new Error('the disk is gone')
    const log = await lost.open()
    lost.allow(1)
    expect(await log.halted).toMatchObject({ code: 'log_halted', cause: { code: 'io_error' } })
    expect(await log.readEntries(0, 1)).toEqual([bytes('entry 0')])
    await log.close()
    expect(lost.disk.index.cursor).toBe(0)
  })

  test('can be frozen, with a last entry', async () => {
    const lost = await LostIndex.make()
    const log = await lost.open()
    expect((await log.freeze({ lastEntry: bytes('the end') })).size).toBe(SIZE + 1)
    lost.allow(1000)
    await vi.waitUntil(() => log.status.indexLag === 0)
    expect(await log.findLeaf(leafHash(bytes('the end')))).toBe(SIZE)
    await log.close()
  })
})

test('a tail such as a crash leaves is written before the log is open', async () => {
  const lost = await LostIndex.make()
  lost.allow(1000)
  const log = await lost.open({ indexing: { atOpening: SIZE, step: STEP } })
  expect(log.status).toMatchObject({ state: 'serving', indexLag: 0 })
  expect(lost.writes).toHaveLength(12)
  await log.close()
})
