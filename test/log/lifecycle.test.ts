import { describe, expect, test } from 'vitest'
import { decodeHead, encodeHead } from '../../src/log/head.ts'
import type { LogParts } from '../../src/log/log.ts'
import { openLog } from '../../src/log/open.ts'
import { SignedTree } from '../../src/log/sequencer.ts'
import { HeadClock } from '../../src/log/signer.ts'
import { bytes, checkDisk, Disk, openTestLog, OPTIONS } from './fixture.ts'

const NEXT = 'https://log.example/logs/next'

describe('a frozen log', () => {
  test('has committed what was admitted, and takes nothing from then on, nor after a restart', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const admitted = Promise.all([log.append([bytes('a')]), log.append([bytes('b')])])
    const head = await log.freeze({ successor: NEXT })
    expect((await admitted).map(({ placements }) => placements[0]!.index)).toEqual([0, 1])
    expect(head).toMatchObject({ size: 2, final: { successor: NEXT } })
    expect(log.status.state).toBe('frozen')
    await expect(log.append([bytes('c')])).rejects.toMatchObject({ code: 'frozen', successor: NEXT })
    await log.close()

    const again = await openTestLog(disk)
    expect(again.status.state).toBe('frozen')
    expect(again.failure).toBeUndefined()
    await expect(again.append([bytes('a')])).rejects.toMatchObject({ code: 'frozen', successor: NEXT })
    expect(await again.readEntries(0, 2)).toEqual([bytes('a'), bytes('b')])
    expect(await again.proveInclusion(0, 2)).toHaveLength(1)
    await again.close()
    expect(await checkDisk(disk)).toEqual(['a', 'b'])
  })

  test('goes on signing the same tree, and every such head is final, too', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk, { headIntervalMs: 5, nowMs: Date.now })
    const frozen = await log.freeze()
    await expect.poll(() => log.integrated.timestampMs).toBeGreaterThan(frozen.timestampMs)
    expect(log.integrated).toMatchObject({ size: 0, final: {} })
    await log.close()
    for (const record of disk.headFile.records) expect(decodeHead(record, 'test').final).toEqual({})
  })

  test('keeps its last entry and the mark in one step', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    await log.append([bytes('a')])
    expect(await log.freeze({ lastEntry: bytes('goodbye') })).toMatchObject({ size: 2, final: {} })
    await log.close()
    expect(await checkDisk(disk)).toEqual(['a', 'goodbye'])
  })

  test('can be frozen again, be given a successor once, and never another', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    const first = await log.freeze()
    expect(await log.freeze()).toBe(first)
    expect((await log.freeze({ successor: NEXT })).final).toEqual({ successor: NEXT })
    expect((await log.freeze({ successor: NEXT })).final).toEqual({ successor: NEXT })
    await expect(log.freeze({ successor: `${NEXT}2` })).rejects.toMatchObject({ code: 'already_exists' })
    await expect(log.freeze({ lastEntry: bytes('x') })).rejects.toMatchObject({ code: 'already_exists' })
    await expect(log.append([bytes('c')])).rejects.toMatchObject({ code: 'frozen', successor: NEXT })
    await log.close()
    expect(await checkDisk(disk)).toEqual([])
  })

  test.each([
    'ftp://a/',
    'next',
    'https://a/ b',
    'https://a/>',
    'https://ä/',
    `https://a/${'x'.repeat(2000)}`,
  ])('has no successor %s', async (successor) => {
    const log = await openTestLog(await Disk.create())
    await expect(log.freeze({ successor })).rejects.toMatchObject({ code: 'usage' })
    expect(log.status.state).toBe('serving')
    await log.append([bytes('a')])
    await log.close()
  })

  test('is refused when its database is put back to before the end, for the head file knows', async () => {
    const disk = await Disk.create()
    const before = await disk.store.readHead()
    const log = await openTestLog(disk)
    await log.freeze()
    await log.close()
    await disk.store.commit({ from: 0, entries: [], tiles: [], head: before! })
    await expect(openTestLog(disk)).rejects.toMatchObject({ code: 'rolled_back' })
  })

  test('takes no leaves either where admission is passed by: the append itself refuses them', async () => {
    const disk = await Disk.create()
    const log = await openTestLog(disk)
    await log.append([bytes('a')])
    const head = await log.freeze()
    const { store, signer } = disk.parts()
    const clock = new HeadClock(head.timestampMs, { nowMs: () => 9000 })
    const signedTree = new SignedTree(store, signer, clock, { tree: log.stored.tree(), head })
    const leaf = { hash: head.root, key: '', entry: bytes('b'), index: undefined, loggedBefore: false }
    await expect(signedTree.append([leaf as never])).rejects.toMatchObject({ code: 'frozen' })
    await log.close()
    expect(await checkDisk(disk)).toEqual(['a'])
  })
})

describe('freezing that fails', () => {
  const faults = (['store.commit', 'headFile.write'] as const).flatMap((operation) =>
    (['lost', 'kept'] as const).map((outcome) => ({ operation, outcome })),
  )
  test.each(faults)('at $operation, $outcome: frozen or not, never half', async ({ operation, outcome }) => {
    const disk = await Disk.create()
    const before = await openTestLog(disk)
    await before.append([bytes('a')])
    await before.close()

    const log = await openLog(failing(disk.parts(), operation, outcome), OPTIONS)
    const freezing = log.freeze({ successor: NEXT, lastEntry: bytes('goodbye') })
    await expect(freezing).rejects.toMatchObject({ code: 'outcome_unknown' })
    await log.close()

    const again = await openTestLog(disk)
    const frozen = again.integrated.final !== undefined
    expect(frozen).toBe(operation === 'headFile.write' || outcome === 'kept')
    expect(again.status.state).toBe(frozen ? 'frozen' : 'serving')
    if (!frozen) await again.freeze({ successor: NEXT, lastEntry: bytes('goodbye') })
    await again.close()
    expect(await checkDisk(disk)).toEqual(['a', 'goodbye'])
    expect(decodeHead(disk.headFile.records[0]!, 'test').final).toEqual({ successor: NEXT })
  })
})

test('closing ends although the last that was admitted turned out to be logged before', async () => {
  const disk = await Disk.create()
  const log = await openTestLog(disk)
  await log.append([bytes('a')])
  await log.close()
  const { index, ...parts } = disk.parts()
  let find!: () => void
  const slow = new Proxy(index, {
    get: (target, name) => {
      if (name === 'lookup') {
        return async (slab: Uint8Array) => {
          await new Promise<void>((resolve) => (find = resolve))
          return target.lookup(slab)
        }
      }
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  const again = await openLog({ ...parts, index: slow }, OPTIONS)
  const same = again.append([bytes('a')])
  await expect.poll(() => find).toBeDefined()
  const closed = again.close()
  // The loop has seen that it is to end, and waits for what is on its way.
  await new Promise((resolve) => setImmediate(resolve))
  find()
  expect((await same).placements[0]).toMatchObject({ index: 0, duplicate: true })
  await closed
})

test('a final head is written and read back, and one that is cut short is damage', async () => {
  const log = await openTestLog(await Disk.create())
  const head = await log.freeze({ successor: NEXT })
  await log.close()
  const record = encodeHead(head)
  expect(decodeHead(record, 'test')).toEqual(head)
  const mark = record.length - head.checkpoint.length - NEXT.length - 4
  expect(() => decodeHead(record.subarray(0, mark), 'test')).toThrow(/cut short/)
})

function failing(parts: LogParts, operation: string, outcome: 'lost' | 'kept'): LogParts {
  const [name, method] = operation.split('.') as ['store' | 'headFile', string]
  const broken = new Proxy(parts[name], {
    get: (target, property) => {
      const value = Reflect.get(target, property, target) as unknown
      if (typeof value !== 'function') return value
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>
      if (property !== method) return call
      return async (...args: unknown[]) => {
        if (outcome === 'kept') await call(...args)
        throw new Error('injected fault')
      }
    },
  })
  return { ...parts, [name]: broken }
}
