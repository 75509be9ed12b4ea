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
