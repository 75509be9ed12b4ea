import { SteleError } from '../errors.ts'

/** A moment: a turn is a signature and a write. */
const RETRY_AFTER_SECONDS = 2

/** Lets tasks of one key take turns, in the order in which they came; those of different keys do not wait. */
export class Turns {
  readonly #most: number
  /** The end of the last task in each line, and how many stand there. Keys without a task are not kept. */
  readonly #lines = new Map<string, { last: Promise<unknown>; length: number }>()

  /** @param most tasks of one key, the running one included */
  constructor(most: number) {
    this.#most = most
  }

  /**
   * Runs a task once all earlier ones of its key have ended, whether they succeeded or failed.
   *
   * @throws SteleError `rate_limited` for one task too many, which is not run; what the task throws
   */
  take<T>(key: string, task: () => Promise<T>): Promise<T> {
    // No await between this look-up and the insertion below.
    const line = this.#lines.get(key) ?? { last: Promise.resolve(), length: 0 }
    if (line.length >= this.#most) {
      return Promise.reject(
        new SteleError('rate_limited', `${line.length} requests for this log are waiting already`, {
          retryAfterSeconds: RETRY_AFTER_SECONDS,
        }),
      )
    }
    this.#lines.set(key, line)
    line.length++
    const turn = line.last.then(task)
    line.last = turn.then(
      () => this.#leave(key, line),
      () => this.#leave(key, line),
    )
    return turn
  }

  /** Resolves once no task waits or runs. */
  async idle(): Promise<void> {
    while (this.#lines.size > 0) await Promise.all([...this.#lines.values()].map(({ last }) => last))
  }

  #leave(key: string, line: { length: number }): void {
    if (--line.length === 0) this.#lines.delete(key)
  }
}
