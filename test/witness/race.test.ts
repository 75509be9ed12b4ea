import { expect, test } from 'vitest'
import { HeadStore, type WitnessStore } from '../../src/witness/store.ts'
import { originHash } from '../../src/witness/logs.ts'
import type { CosignedHead } from '../../src/witness/head.ts'
import { FakeLog } from './fake-log.ts'
import { outcome, testWitness } from './fixture.ts'

const log = new FakeLog('log.example/demo', 40)
const hash = originHash(log.origin)

/** A store whose writes wait until they are let go, one by one, and that notes what it was given. */
class SlowDisk {
  readonly written: number[] = []
  readonly store: WitnessStore
  #waiting: (() => void)[] = []

  constructor() {
    this.store = new HeadStore(new Map(), {
      write: async (_: string, head: CosignedHead) => {
        await new Promise<void>((resolve) => this.#waiting.push(resolve))
        this.written.push(head.checkpoint.size)
      },
      async close() {},
    })
  }

  get waiting(): number {
    return this.#waiting.length
  }

  letGo(): void {
    this.#waiting.shift()?.()
  }
}

/** A witness at size 3 whose next writes wait. */
async function atSize3(): Promise<{
  disk: SlowDisk
  add: (log: FakeLog, from: number, to: number) => Promise<string>
}> {
  const disk = new SlowDisk()
  const { witness } = testWitness([log], { store: disk.store })
  const add = async (history: FakeLog, from: number, to: number): Promise<string> =>
    outcome(witness.addCheckpoint(await history.request(from, to)))
  const first = add(log, 0, 3)
  await expect.poll(() => disk.waiting).toBe(1)
  disk.letGo()
  expect(await first).toBe('cosigned')
  return { disk, add }
}

test.each([
  [12, 7],
  [7, 12],
  [7, 7],
])('of two requests that race from the same old size to %i and %i, one is cosigned', async (one, other) => {
  const { disk, add } = await atSize3()
  const racing = [add(log, 3, one), add(log, 3, other)]
  await expect.poll(() => disk.waiting).toBe(1)
  disk.letGo()
  const outcomes = await Promise.all(racing)
  const size = disk.store.get(hash)!.checkpoint.size
  expect(outcomes.toSorted()).toEqual(['conflict ' + size, 'cosigned'])
  expect(disk.written).toEqual([3, size])
})

test('of two histories that race from the same old size, one is cosigned', async () => {
  const { disk, add } = await atSize3()
  const fork = log.fork(3)
  const racing = [add(log, 3, 12), add(fork, 3, 12)]
  await expect.poll(() => disk.waiting).toBe(1)
  disk.letGo()
  expect((await Promise.all(racing)).toSorted()).toEqual(['conflict 12', 'cosigned'])
  expect(disk.written).toEqual([3, 12])
})

test('fifty requests from sizes that they hope for never roll a size back', async () => {
  const { disk, add } = await atSize3()
  let done = false
  const racing = Promise.all(
    Array.from({ length: 50 }, (_, i) => {
      const from = 3 + ((i * 7) % 20)
      return add(log, from, from + 1 + (i % 15))
    }),
  ).finally(() => (done = true))
  while (!done) {
    disk.letGo()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const outcomes = await racing
  expect(disk.written).toEqual(disk.written.toSorted((a, b) => a - b))
  expect(outcomes.filter((each) => each === 'cosigned')).toHaveLength(disk.written.length - 1)
})

test('no signature is answered, and none is served, before the checkpoint is on disk', async () => {
  const { disk, add } = await atSize3()
  let answered = false
  const adding = add(log, 3, 7).finally(() => (answered = true))
  await expect.poll(() => disk.waiting).toBe(1)
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  expect(answered).toBe(false)
  expect(disk.store.get(hash)?.checkpoint.size).toBe(3)
  disk.letGo()
  expect(await adding).toBe('cosigned')
})
