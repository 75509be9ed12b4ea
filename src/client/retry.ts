import { hasCode, SteleError } from '../errors.ts'
import { LONGEST_TIMER_MS, type Clock } from './clock.ts'

/** How long one call goes on trying. */
export interface RetryLimits {
  /** From the first attempt on, for all of them together. 0 means a single one, in its own time. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal | undefined
}

// The first pause is short since most trouble is a restart or one lost connection; doubled each time, it is
// past ten seconds after six attempts, and a log that is down for longer does not come back any faster for it.
const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 10_000

/** Transient failures, after which reading again may work. */
export function isPassing(error: unknown): boolean {
  return hasCode(error, 'unreachable') || wasRefusedForNow(error)
}

/** Failures with which the log promises that it stored nothing: sending the entry again cannot store it twice. */
export function wasRefusedForNow(error: unknown): boolean {
  return hasCode(error, 'rate_limited', 'overloaded', 'shutting_down', 'index_behind')
}

/**
 * Retries until an attempt succeeds, until a failure is final, or until the deadline.
 *
 * @param attempt gets the number of milliseconds left for it
 * @param mayRetry decides whether a retry after this failure is useful and safe
 * @returns the result of the first successful attempt
 * @throws the error of the last attempt; the signal's reason when it is aborted during a pause
 */
export async function retrying<T>(
  clock: Clock,
  { deadlineMs, signal }: RetryLimits,
  mayRetry: (error: unknown) => boolean | Promise<boolean>,
  attempt: (leftMs: number) => Promise<T>,
): Promise<T> {
  const endMs = clock.nowMs() + deadlineMs
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt(deadlineMs === 0 ? Infinity : Math.max(1, endMs - clock.nowMs()))
    } catch (error) {
      const pause = pauseMs(clock, attempts, error)
      const tooLate = (): boolean => clock.nowMs() + pause > endMs
      // Checked again afterwards, since the decision may have taken a while.
      if (tooLate() || !(await mayRetry(error)) || tooLate()) throw error
      await clock.sleep(pause, signal)
    }
  }
}

/**
 * The result of a task, if it arrives in time. A late task goes on by itself; its requests have limits of their own.
 *
 * @param deadlineMs 0 for no limit
 * @throws what the task throws; SteleError `unreachable` once the time is over
 */
export async function inTime<T>(deadlineMs: number, task: Promise<T>): Promise<T> {
  if (deadlineMs === 0) return task
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    const give = (): void => reject(new SteleError('unreachable', `no result in ${Math.ceil(deadlineMs)} ms`))
    timer = setTimeout(give, Math.min(deadlineMs, LONGEST_TIMER_MS))
  })
  try {
    return await Promise.race([task, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Never less than the log asked for, plus a random part, so that callers refused together do not return together. */
function pauseMs(clock: Clock, attempts: number, error: unknown): number {
  const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1))
  const own = longest * (0.5 + clock.random() / 2)
  const asked = error instanceof SteleError ? (error.retryAfterSeconds ?? 0) * 1000 : 0
  return asked > 0 ? asked + own : own
}
