import { describe, expect, test } from 'vitest'
import type { Log, LogParts } from '../../src/log/log.ts'
import { openLog } from '../../src/log/open.ts'
import { openTestLog } from '../support/log.ts'
import { bytes, checkDisk, Disk, OPTIONS } from './fixture.ts'

/** Every operation of the storage seam that changes something. */
const OPERATIONS = ['store.commit', 'headFile.write', 'index.write', 'index.moveCursor'] as const
type Operation = (typeof OPERATIONS)[number]

interface Fault {
  readonly operation: Operation
  /** Which call of it fails, counted from the moment the log is open. */
  readonly call: number
  /** Lost: nothing happened. Kept: it happened, and was reported as failed. */
  readonly outcome: 'lost' | 'kept'
}

/** The parts of a disk, one call of which fails. */
function faulty(parts: LogParts, fault: Fault): LogParts {
  const [partName, method] = fault.operation.split('.') as ['store' | 'headFile' | 'index', string]
  let calls = 0
  const part = parts[partName]
  const broken = new Proxy(part, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target) as unknown
      if (typeof value !== 'function') return value
      const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>
      if (name !== method) return call
      return async (...args: unknown[]) => {
        if (calls++ !== fault.call) return call(...args)
        if (fault.outcome === 'kept') await call(...args)
        throw new Error('injected fault')
      }
    },
  })
  return { ...parts, [partName]: broken }
}

/** Appends one entry after the other; what was acknowledged, by index. */
async function appendAll(log: Log, texts: readonly string[]): Promise<Map<number, string>> {
  const acknowledged = new Map<number, string>()
  for (const text of texts) {
    try {
      const { placements } = await log.append([bytes(text)])
      acknowledged.set(placements[0]!.index, text)
    } catch (error) {
      expect(error).toMatchObject({ name: 'SteleError' })
    }
  }
  return acknowledged
}

const TEXTS = Array.from({ length: 6 }, (_, i) => `entry ${i}`)

const FAULTS: Fault[] = OPERATIONS.flatMap((operation) =>
  [0, 1, 2, 3].flatMap((call) =>
    (['lost', 'kept'] as const).map((outcome) => ({ operation, call, outcome })),
  ),
)

describe.each(FAULTS)('$operation number $call, $outcome', (fault) => {
  test('loses nothing that was acknowledged, invents nothing, and is verified whole after it', async () => {
    const disk = await Disk.create()
    const log = await openLog(faulty(disk.parts(), fault), OPTIONS)
    const acknowledged = await appendAll(log, TEXTS)
    const halted = log.failure !== undefined
    await log.close()

    const stored = await checkDisk(disk)
    for (const [index, text] of acknowledged) expect(stored[index]).toBe(text)
    expect(new Set(stored).size).toBe(stored.length)
    expect(TEXTS).toEqual(expect.arrayContaining(stored))
    if (fault.operation === 'store.commit' || fault.operation === 'headFile.write') {
      expect(halted).toBe(true)
    }

    // After a restart, repeating everything gives every entry exactly one index: what was kept is a duplicate.
    const again = await openLog(disk.parts(), OPTIONS)
    const repeated = await appendAll(again, TEXTS)
    await again.close()
    expect([...repeated.values()].sort()).toEqual(TEXTS)
    const after = await checkDisk(disk)
    expect(after.slice(0, stored.length)).toEqual(stored)
    expect(after.length).toBe(TEXTS.length)
  })
})

test('a halted log says so at once, says why, and goes on serving reads', async () => {
  const disk = await Disk.create()
  const log = await openLog(
    faulty(disk.parts(), { operation: 'store.commit', call: 1, outcome: 'lost' }),
    OPTIONS,
  )
  await log.append([bytes('a')])
  await expect(log.append([bytes('b')])).rejects.toMatchObject({ code: 'outcome_unknown' })
  await expect(log.append([bytes('c')])).rejects.toMatchObject({ code: 'log_halted' })
  expect(await log.halted).toMatchObject({ code: 'log_halted' })
  expect(log.status).toMatchObject({
    state: 'halted',
    reason: expect.stringContaining('injected fault') as string,
  })
  expect((await log.readEntries(0, 1)).length).toBe(1)
  await log.close()
})

test('whoever waits behind a failing commit is told that nothing of theirs was logged', async () => {
  const disk = await Disk.create()
  const log = await openLog(faulty(disk.parts(), { operation: 'store.commit', call: 0, outcome: 'lost' }), {
    ...OPTIONS,
    pool: { ...OPTIONS.pool, maxCommitEntries: 1 },
  })
  const answers = await Promise.allSettled(TEXTS.map((text) => log.append([bytes(text)])))
  const codes = answers.map(
    (answer) => answer.status === 'rejected' && (answer.reason as { code: string }).code,
  )
  expect(codes).toEqual(['outcome_unknown', ...TEXTS.slice(1).map(() => 'log_halted')])
  await log.close()
  expect(await checkDisk(disk)).toEqual([])
})

test('an entry has waited since it was queued until the disk has it', async () => {
  let nowMs = 1_760_000_000_000
  let release = (): void => {}
  const disk = new Promise<void>((resolve) => (release = resolve))
  let commits = 0
  const { log } = await openTestLog({
    nowMs: () => nowMs,
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          if (name !== 'commit') {
            const part: unknown = Reflect.get(target, name)
            return typeof part === 'function' ? (part.bind(target) as unknown) : part
          }
          return async (...args: Parameters<typeof store.commit>) => {
            commits++
            await disk
            return target.commit(...args)
          }
        },
      }),
  })
  expect(log.status.oldestWaitingMs).toBe(0)
  const first = log.append([bytes('first')])
  await expect.poll(() => commits).toBe(1)
  nowMs += 5000
  const second = log.append([bytes('second')])
  await expect.poll(() => log.status.queuedEntries).toBe(2)
  nowMs += 2000
  expect(log.status.oldestWaitingMs).toBe(7000)
  release()
  await Promise.all([first, second])
  expect(log.status.oldestWaitingMs).toBe(0)
})
