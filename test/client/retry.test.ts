import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/client/clock.ts'
import { isPassing, retrying } from '../../src/client/retry.ts'
import { SteleError, type ErrorCode } from '../../src/errors.ts'
import { FakeClock } from './fake-log.ts'

function failing(times: number, code: ErrorCode, retryAfterSeconds?: number): () => Promise<string> {
  return async () => {
    if (times-- > 0)
      throw new SteleError(code, 'no', retryAfterSeconds === undefined ? {} : { retryAfterSeconds })
    return 'done'
  }
}

describe('retrying', () => {
  it('doubles the pause each time, up to ten seconds', async () => {
    const clock = new FakeClock()
    expect(await retrying(clock, { deadlineMs: 60_000 }, isPassing, failing(8, 'unreachable'))).toBe('done')
    expect(clock.naps).toEqual([200, 400, 800, 1600, 3200, 6400, 10_000, 10_000])
  })

  it('never pauses for less than the log asked for, whatever chance says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        async (seconds, chance) => {
          const clock = new FakeClock()
          clock.chance = chance
          await retrying(clock, { deadlineMs: 1e6 }, isPassing, failing(3, 'overloaded', seconds))
          expect(clock.naps).toHaveLength(3)
          expect(Math.min(...clock.naps)).toBeGreaterThanOrEqual(seconds * 1000)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('does not begin to wait for what lies behind the deadline', async () => {
    const clock = new FakeClock()
    const tried = retrying(clock, { deadlineMs: 5_000 }, isPassing, failing(1, 'overloaded', 30))
    await expect(tried).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 30 })
    expect(clock.naps).toEqual([])
  })

  it('tells every attempt how much time is left', async () => {
    const clock = new FakeClock()
    const left: number[] = []
    const tried = retrying(clock, { deadlineMs: 1_000 }, isPassing, async (leftMs) => {
      left.push(leftMs)
      throw new SteleError('unreachable', 'no')
    })
    await expect(tried).rejects.toMatchObject({ code: 'unreachable' })
    expect(left).toEqual([1_000, 800, 400])
  })

  it('gives a single attempt all the time it wants', async () => {
    const left: number[] = []
    const tried = retrying(new FakeClock(), { deadlineMs: 0 }, isPassing, async (leftMs) => {
      left.push(leftMs)
      throw new SteleError('unreachable', 'no')
    })
    await expect(tried).rejects.toMatchObject({ code: 'unreachable' })
    expect(left).toEqual([Infinity])
  })

  it('tries once where the failure is final, or is no failure of the log at all', async () => {
    const clock = new FakeClock()
    await expect(retrying(clock, { deadlineMs: 1e6 }, isPassing, failing(1, 'too_large'))).rejects.toThrow(
      'no',
    )
    await expect(
      retrying(clock, { deadlineMs: 1e6 }, isPassing, () => Promise.reject(new TypeError('bug'))),
    ).rejects.toThrow('bug')
    expect(clock.naps).toEqual([])
  })

  it('stops waiting when the caller gives up', async () => {
    const controller = new AbortController()
    const tried = retrying(
      systemClock,
      { deadlineMs: 60_000, signal: controller.signal },
      isPassing,
      async () => {
        setTimeout(() => controller.abort(new Error('enough')), 1)
        throw new SteleError('overloaded', 'no', { retryAfterSeconds: 30 })
      },
    )
    await expect(tried).rejects.toThrow('enough')
  })
})
