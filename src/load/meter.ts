import { Histogram } from './histogram.ts'

/** What came of the requests of one kind. */
export class Meter {
  readonly latency = new Histogram()
  /** Answers that were as they should be. */
  answered = 0
  /** Answers of 429 and 503: the server said no, and nothing was logged. */
  refused = 0
  /** Everything else, by reason. */
  readonly failures = new Map<string, number>()

  /** @param fault what is wrong with the answer, if anything is */
  record(tookMs: number, fault: string | undefined): void {
    if (fault !== undefined) return this.fail(fault)
    this.answered++
    this.latency.record(tookMs)
  }

  fail(reason: string): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1)
  }

  get failed(): number {
    let sum = 0
    for (const count of this.failures.values()) sum += count
    return sum
  }

  /** Forgets times and counts, for the end of a warm-up. Failures stay. */
  reset(): void {
    this.latency.reset()
    this.answered = 0
    this.refused = 0
  }
}
