import { describe, expect, test } from 'vitest'
import type { Log, LogOptions } from '../../src/log/log.ts'
import { openLog } from '../../src/log/open.ts'
import type { HeadCosigner } from '../../src/log/publisher.ts'
import { bytes, checkDisk, Disk, openTestLog, OPTIONS } from './fixture.ts'

const NOW_MS = Date.parse('2026-12-01T12:00:00Z')
const MINUTE_MS = 60_000
const LIMIT_MS = 5 * MINUTE_MS

/** A log whose newest head was signed by a clock that was so much ahead. */
async function signedAhead(aheadMs: number): Promise<Disk> {
  const disk = await Disk.create(NOW_MS - 1000)
  const log = await openTestLog(disk, { nowMs: () => NOW_MS + aheadMs })
  await log.append([bytes('a')])
  await log.close()
  return disk
}

class Clock {
  ms = NOW_MS
  readonly options: Partial<LogOptions> = { nowMs: () => this.ms }
}

describe('a log whose clock was once ahead', () => {
  test('goes on within the limit, each head a millisecond behind the last', async () => {
    const disk = await signedAhead(LIMIT_MS - 1)
    const log = await openTestLog(disk, new Clock().options)
    expect(log.status).toMatchObject({ state: 'serving', reason: undefined })
    await log.append([bytes('b')])
    expect(log.published.timestampMs).toBe(NOW_MS + LIMIT_MS)
    // That was the last millisecond that there is.
    await expect(log.append([bytes('c')])).rejects.toMatchObject({ code: 'log_halted' })
    await log.close()
    expect(await checkDisk(disk)).toEqual(['a', 'b'])
  })

  test('beyond the limit signs nothing, says both times and what to do, and goes on when it is time', async () => {
    const disk = await signedAhead(10 * MINUTE_MS)
    const clock = new Clock()
    const log = await openTestLog(disk, { ...clock.options, headIntervalMs: 1 })
    const refused = log.append([bytes('b')])
    await expect(refused).rejects.toMatchObject({
      code: 'log_halted',
      retryAfterSeconds: 60,
      message: expect.stringMatching(
        /dated 2026-12-01T12:10:00.000Z.*2026-12-01T12:00:00.000Z.*Set the clock.*max-head-ahead-seconds/,
      ) as string,
    })
    await expect(log.freeze()).rejects.toMatchObject({ code: 'log_halted' })
    expect(log.status).toMatchObject({ state: 'halted', reason: expect.stringContaining('dated') as string })
    expect(await log.readEntries(0, 1)).toEqual([bytes('a')])
    expect(log.failure).toBeUndefined()

    clock.ms += 5 * MINUTE_MS + 1
    expect(log.status.state).toBe('serving')
    await log.append([bytes('b')])
    expect(log.integrated.timestampMs).toBeGreaterThan(NOW_MS + 10 * MINUTE_MS)
    await log.close()
    expect(await checkDisk(disk)).toEqual(['a', 'b'])
  })

  test('does not re-sign the head of an idle log either', async () => {
    const disk = await signedAhead(10 * MINUTE_MS)
    const asked: number[] = []
    const log = await openTestLog(disk, { headIntervalMs: 1, nowMs: () => (asked.push(1), NOW_MS) })
    const { timestampMs } = log.integrated
    // The timer of periodic re-signing has fired many times, and looked at the time.
    await expect.poll(() => asked.length).toBeGreaterThan(20)
    expect(log.integrated.timestampMs).toBe(timestampMs)
    await log.close()
  })

  test('goes on where the operator allows it', async () => {
    const log = await openTestLog(await signedAhead(10 * MINUTE_MS), {
      ...new Clock().options,
      maxAheadMs: 11 * MINUTE_MS,
    })
    await log.append([bytes('b')])
    expect(log.integrated.timestampMs).toBe(NOW_MS + 10 * MINUTE_MS + 1)
    await log.close()
  })

  test('refuses what was admitted before the clock was set back, and halts for nothing', async () => {
    const disk = await Disk.create(NOW_MS - 1000)
    const clock = new Clock()
    const log = await openTestLog(disk, clock.options)
    await log.append([bytes('a')])
    const admitted = log.append([bytes('b')])
    clock.ms -= 10 * MINUTE_MS
    await expect(admitted).rejects.toMatchObject({ code: 'log_halted' })
    expect(log.failure).toBeUndefined()
    clock.ms = NOW_MS
    expect((await log.append([bytes('b')])).placements[0]).toMatchObject({ index: 1, duplicate: false })
    await log.close()
  })
})

test('a clock that is behind stops no log whose witnesses say that its heads are of now', async () => {
  const disk = await signedAhead(0)
  const cosigner: HeadCosigner & { timeMs: number | undefined } = {
    timeMs: undefined,
    async cosign({ checkpoint }) {
      this.timeMs = NOW_MS
      return checkpoint
    },
  }
  const witnessing = { cosigner, store: { write: async () => {} }, suspect: 'none yet', retryMs: 1 } as const
  const open = (options: Partial<LogOptions>): Promise<Log> =>
    openLog({ ...disk.parts(), witnessing }, { ...OPTIONS, ...options })
  const log = await open({ nowMs: () => NOW_MS - 3_600_000 })
  await log.started
  await log.append([bytes('b')])
  expect(log.integrated.timestampMs).toBe(NOW_MS + 1)
  await log.close()
})
