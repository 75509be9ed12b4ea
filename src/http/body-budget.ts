import { SteleError } from '../errors.ts'
import { Quota } from './quota.ts'

/** A caller may hold this share: past it the answer is 429, and others still get in. */
const CALLER_SHARE = 0.5

/** A moment: bodies are read within seconds. */
const RETRY_AFTER_SECONDS = 2

/** The bytes of all bodies that are being read. Owner of that count, whole and by caller. */
export class BodyBudget {
  readonly #bodies: Quota

  constructor(maxBytes: number) {
    this.#bodies = new Quota(maxBytes, maxBytes * CALLER_SHARE)
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bodies.held
  }

  /**
   * Counts bytes that have arrived.
   *
   * @throws SteleError `overloaded`, `rate_limited`, and then nothing was counted
   */
  take(caller: string, bytes: number): void {
    switch (this.#bodies.take(caller, bytes)) {
      case 'full':
        throw refusal('overloaded', `bodies of ${this.bytes} bytes are being read already`)
      case 'share':
        throw refusal('rate_limited', 'half of the room for bodies is yours already')
      case 'taken':
    }
  }

  /** Gives back what was taken. */
  release(caller: string, bytes: number): void {
    this.#bodies.release(caller, bytes)
  }
}

function refusal(code: 'overloaded' | 'rate_limited', message: string): SteleError {
  return new SteleError(code, `body: ${message}; nothing was logged`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
}
