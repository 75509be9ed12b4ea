import { SteleError } from '../errors.ts'
import type { FinalMark } from './head.ts'

/** Why a frozen log takes no entry. */
export function frozenError({ successor }: FinalMark): SteleError {
  const next = successor === undefined ? 'it has no successor' : `its successor is ${successor}`
  return new SteleError(
    'frozen',
    `the log is frozen and takes no entries any more; ${next}. Nothing was logged`,
    {
      successor,
    },
  )
}

/** For what passes within seconds. */
export function later(message: string): SteleError {
  return new SteleError('log_halted', message, { retryAfterSeconds: 2 })
}

/**
 * For a log whose clock was ahead once, or is behind now: timestamps must grow, and this one would grow into the future.
 *
 * @param lastMs of the newest head
 * @param soundMs the latest time that a clock says: this machine's, or the witnesses'
 */
export function tooEarly(lastMs: number, soundMs: number, maxAheadMs: number): SteleError {
  const time = (ms: number): string => new Date(ms).toISOString()
  const waitMs = lastMs - soundMs - maxAheadMs
  return new SteleError(
    'log_halted',
    `the newest head of the log is dated ${time(lastMs)}, and it is ${time(soundMs)} by the clock of this machine, or by those of ` +
      `its witnesses where they are later: nothing is signed more than ${maxAheadMs / 1000} s ahead, and nothing was logged. Set ` +
      `the clock, if that is wrong; otherwise the log goes on by itself at ${time(lastMs - maxAheadMs)}, or at once with a larger ` +
      `max-head-ahead-seconds`,
    { retryAfterSeconds: Math.min(60, Math.max(1, Math.ceil(waitMs / 1000))) },
  )
}

/** For a log that is being closed. */
export function stopping(): SteleError {
  return new SteleError('shutting_down', 'the log is stopping; nothing was logged', { retryAfterSeconds: 5 })
}

/** Why a log halts: the failure itself, or that it was none of those that are expected. */
export function haltedBy(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `internal error while committing: ${message}`, { cause: error })
}

/** A write failed, and what it left behind is not known. */
export function unknownOutcome(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError(
    'outcome_unknown',
    `the write failed and what it left on disk is unknown: ${message}. The entry may or may not be logged; ` +
      `sending it again is safe`,
    { cause: error },
  )
}
