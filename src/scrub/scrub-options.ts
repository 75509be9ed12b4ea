import type { SteleError } from '../errors.ts'
import type { ScrubFile, ScrubPass } from './scrub-cursor.ts'
import type { FindingEvents, ScrubFinding } from './scrub-finding.ts'

/** Callbacks, for the server's own log or other records. They must not throw. */
export interface ScrubEvents extends FindingEvents {
  onPassDone?(pass: ScrubPass): void
  /** A read failed. It says nothing about what is stored, and is repeated. */
  onReadError?(error: SteleError): void
}

export interface ScrubberOptions {
  /** Above 0. The rate over any stretch of time longer than a few reads. */
  readonly bytesPerSecond: number
  /** Written atomically. Losing it costs one pass. */
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
  /** Number of findings, including those beyond the first hundred. */
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

/** Limits a duration that may be negative or huge because the clock was changed. */
export function within(ms: number, atMostMs: number): number {
  return Math.min(Math.max(ms, 0), atMostMs)
}

/** Lets only one scrubber of the process read at a time. */
export class ScrubTurns {
  #last: Promise<unknown> = Promise.resolve()

  /**
   * Runs the work after all earlier work is done.
   *
   * @returns undefined when it was stopped while it waited
   */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T | undefined> {
    const before = this.#last
    let done!: () => void
    const mine = new Promise<void>((resolve) => (done = resolve))
    // A caller that stops waiting keeps its place: the next one still waits for the one before it.
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
