import { invariant } from '../errors.ts'
import type { SignedHead } from './head.ts'

/**
 * Owner of the published head: the one that readers see. It grows, and never past what is on disk, for only heads
 * that a commit has stored are handed in. Without witnesses a head is published the moment it is integrated.
 */
export class Publisher {
  #published: SignedHead
  readonly #waiting = new Set<{ size: number; wake: () => void }>()

  constructor(head: SignedHead) {
    this.#published = head
  }

  get published(): SignedHead {
    return this.#published
  }

  /** Publishes a newer head. */
  publish(head: SignedHead): void {
    invariant(head.size >= this.#published.size, 'a published head goes back')
    this.#published = head
    for (const waiter of this.#waiting) {
      if (head.size > waiter.size) waiter.wake()
    }
  }

  /** Sends away whoever waits for a head that will not come. */
  close(): void {
    for (const waiter of this.#waiting) waiter.wake()
  }

  /**
   * Waits until the published head has grown past a size.
   *
   * @returns true once it has, false when the signal was aborted or the log was closed first
   */
  async whenPast(size: number, signal: AbortSignal): Promise<boolean> {
    if (this.#published.size > size) return true
    if (signal.aborted) return false
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(waiter)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const waiter = { size, wake }
      this.#waiting.add(waiter)
      signal.addEventListener('abort', wake, { once: true })
    })
    return this.#published.size > size
  }
}
