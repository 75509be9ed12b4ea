import type { SteleError } from '../errors.ts'
import type { ScrubFile, ScrubPass } from './scrub-cursor.ts'
import type { FindingEvents, ScrubFinding } from './scrub-finding.ts'

/** For whoever writes the server's log, or records it elsewhere. None of them may throw. */
export interface ScrubEvents extends FindingEvents {
  onPassDone?(pass: ScrubPass): void
  /** Reading failed: nothing is known, and it is tried again. */
  onReadError?(error: SteleError): void
}

export interface ScrubberOptions {
  /** Above 0. The rate over any stretch of time longer than a few reads. */
  readonly bytesPerSecond: number
  /** Losing it costs a pass. Written whole or not at all. */
  readonly cursor: ScrubFile
  /** Shared by all scrubbers of the process. */
  readonly turns: ScrubTurns
  readonly events?: ScrubEvents
  readonly clock?: ScrubClock
}

/** What a scrubber is doing, for health and metrics. */
export interface ScrubStatus {
  /** 0 to 1: how much of the tree was verified in this pass. */
  readonly coverage: number
  readonly pass: number
  readonly lastPass: ScrubPass | undefined
  /** Since the log was opened. */
  readonly bytesRead: number
  readonly readErrors: number
  /** What is damaged, the first hundred of it. */
  readonly findings: readonly ScrubFinding[]
  /** How much is damaged, those included that are too many to be kept. */
  readonly findingCount: number
}

/** The time, and waiting for it. */
export interface ScrubClock {
  /** Milliseconds since 1970. */
  nowMs(): number
  /** Resolves after this long, or at once when the signal is aborted. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
}

export const SYSTEM_CLOCK: ScrubClock = {
  nowMs: Date.now,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const done = (): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1)).unref()
      signal.addEventListener('abort', done, { once: true })
    }),
}

/** A stretch of time that a clock which was set may have made negative or huge. */
export function within(ms: number, atMostMs: number): number {
  return Math.min(Math.max(ms, 0), atMostMs)
}

/** Lets the scrubbers of one process read one at a time, however many logs it has. */
export class ScrubTurns {
  #last: Promise<unknown> = Promise.resolve()

  /**
   * Does the work when all that asked before have done theirs.
   *
   * @returns undefined when it was stopped while it waited
   */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    const before = this.#last
    let done!: () => void
    const mine = new Promise<void>((resolve) => (done = resolve))
    // Whoever gives up waiting leaves the next one waiting for the one before.
    this.#last = before.then(() => mine)
    try {
      await untilAborted(before, signal)
      return signal.aborted ? undefined : await work()
    } finally {
      done()
    }
  }
}

async function untilAborted(waiting: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let stop!: () => void
  const stopped = new Promise<void>((resolve) => (stop = resolve))
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  await Promise.race([waiting, stopped])
  signal.removeEventListener('abort', stop)
}
