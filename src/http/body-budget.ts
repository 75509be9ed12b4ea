import { SteleError } from '../errors.ts'

/** A caller may hold this share: past it the answer is 429, and others still get in. */
const CALLER_SHARE = 0.5

/** A moment: bodies are read within seconds. */
const RETRY_AFTER_SECONDS = 2

/** The bytes of all bodies that are being read. Owner of that count, whole and by caller. */
export class BodyBudget {
  readonly #maxBytes: number
  #bytes = 0
  readonly #heldBy = new Map<string, number>()

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Counts bytes that have arrived.
   *
   * @throws SteleError `overloaded`, `rate_limited`, and then nothing was counted
   */
  take(caller: string, bytes: number): void {
    if (this.#bytes + bytes > this.#maxBytes) {
      throw refusal('overloaded', `bodies of ${this.#bytes} bytes are being read already`)
    }
    const held = (this.#heldBy.get(caller) ?? 0) + bytes
    if (held > this.#maxBytes * CALLER_SHARE) {
      throw refusal('rate_limited', 'half of the room for bodies is yours already')
    }
    this.#bytes += bytes
    this.#heldBy.set(caller, held)
  }

  /** Gives back what was taken. */
  release(caller: string, bytes: number): void {
    if (bytes === 0) return
    this.#bytes -= bytes
    const held = this.#heldBy.get(caller)! - bytes
    if (held > 0) this.#heldBy.set(caller, held)
    else this.#heldBy.delete(caller)
  }
}

function refusal(code: 'overloaded' | 'rate_limited', message: string): SteleError {
  return new SteleError(code, `body: ${message}; nothing was logged`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
}
