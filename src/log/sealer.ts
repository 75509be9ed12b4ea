import type { HeadFile } from '../storage/head-file.ts'
import { encodeHead, type SignedHead } from './head.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'

/**
 * Brings signed heads to their second place, behind the commit and before the acknowledgement. Owner of the head file.
 * While one head is synced the next commit is on its way already; heads that gather meanwhile are covered by the
 * newest of them, which alone is written.
 */
export class Sealer {
  readonly #file: HeadFile
  readonly #observer: LogObserver
  #waiting: { head: SignedHead; resolve: () => void; reject: (reason: unknown) => void }[] = []
  #running: Promise<void> | undefined
  /** After a failed write nothing is written any more: the log has to be reopened. */
  #failure: unknown

  constructor(file: HeadFile, observer: LogObserver = UNOBSERVED) {
    this.#file = file
    this.#observer = observer
  }

  /**
   * Heads come in the order in which they were committed, and are answered in it.
   *
   * @returns once this head, or one that extends it, is in the head file
   */
  seal(head: SignedHead): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#waiting.push({ head, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing is being written. */
  async drained(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0)
      try {
        await this.#file.write(encodeHead(round.at(-1)!.head))
        this.#observer.synced('head')
        for (const { resolve } of round) resolve()
      } catch (error) {
        this.#failure = error
        for (const { reject } of [...round, ...this.#waiting.splice(0)]) reject(error)
      }
    }
    this.#running = undefined
  }
}
