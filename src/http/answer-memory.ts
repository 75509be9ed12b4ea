import type { ServerResponse } from 'node:http'
import { SteleError } from '../errors.ts'
import { type Answer, heldBytes, isLarge, isPieces, MOST_BYTES, type Pieces } from './answer.ts'

/** The largest share of the answer memory that one network may hold, so that other networks still get answers. */
const NETWORK_SHARE = 0.25
/**
 * How many large answers, or pieces of streamed ones, are made at the same time. Each reads and hashes, and every other
 * request waits for each of them once per turn of the event loop: with 60 at once an append took half a second.
 */
const MADE_AT_ONCE = 3
/** Short, because answers leave within seconds. */
const RETRY_AFTER_SECONDS = 2

/**
 * Bounds the memory and the processor time of large answers. Only a few are made at once, and a budget of bytes limits
 * those that callers have not taken yet. Owner of both counts.
 */
export class AnswerMemory {
  readonly #bytes: Quota
  #making = 0
  /**
   * Requests that wait their turn, by network. Networks take turns, so the requests of one network do not delay
   * another's.
   */
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(maxBytes: number) {
    this.#bytes = new Quota(maxBytes, Math.floor(maxBytes * NETWORK_SHARE))
  }

  /** Bytes of large answers that were made and that callers have not taken yet. */
  get bytes(): number {
    return this.#bytes.held
  }

  /**
   * Makes a large answer when its turn comes. Makes nothing for a caller that has disconnected, nor for a network that
   * must first take other answers.
   *
   * @throws SteleError `overloaded`; what `make` throws
   */
  async make(network: string, res: ServerResponse, make: () => Promise<Answer> | Answer): Promise<Answer> {
    return this.#inTurn(network, res, () => {
      // Checked before the work, with the size of the largest answer: the work would be wasted if there were no room.
      this.#take(network, MOST_BYTES)
      this.#bytes.release(network, MOST_BYTES)
      return make()
    })
  }

  /**
   * Counts an answer until its caller has taken it or disconnected. Small answers are not counted.
   *
   * @returns the answer; an answer in pieces makes each piece when its turn comes
   * @throws SteleError `overloaded`
   */
  hold(network: string, res: ServerResponse, answer: Answer): Answer {
    // A response that has already closed emits no second 'close'.
    if (!isLarge(answer) || res.destroyed) return answer
    const bytes = heldBytes(answer)
    this.#take(network, bytes)
    res.once('close', () => this.#bytes.release(network, bytes))
    const { body } = answer
    return isPieces(body) ? { ...answer, body: this.#inTurns(network, res, body) } : answer
  }

  #inTurns(network: string, res: ServerResponse, pieces: Pieces): Pieces {
    const inTurn = (next: () => Promise<IteratorResult<Uint8Array>>): Promise<IteratorResult<Uint8Array>> =>
      this.#inTurn(network, res, next)
    return {
      length: pieces.length,
      async *[Symbol.asyncIterator]() {
        const each = pieces[Symbol.asyncIterator]()
        for (;;) {
          const next = await inTurn(() => each.next())
          if (next.done) return
          yield next.value
        }
      },
    }
  }

  async #inTurn<T>(network: string, res: ServerResponse, make: () => Promise<T> | T): Promise<T> {
    if (this.#making < MADE_AT_ONCE) this.#making++
    else await this.#turn(network, res)
    try {
      return await make()
    } finally {
      this.#next()
    }
  }

  #take(network: string, bytes: number): void {
    const taken = this.#bytes.take(network, bytes)
    if (taken === 'taken') return
    const who = taken === 'full' ? 'all callers together' : 'your network'
    throw new SteleError('overloaded', `answers: ${who} must first take the answers in progress`, {
      retryAfterSeconds: RETRY_AFTER_SECONDS,
    })
  }

  async #turn(network: string, res: ServerResponse): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const queue = this.#waiting.get(network) ?? []
      this.#waiting.set(network, queue)
      const wake = (): void => {
        res.off('close', leave)
        resolve()
      }
      const leave = (): void => {
        queue.splice(queue.indexOf(wake), 1)
        if (queue.length === 0) this.#waiting.delete(network)
        reject(new SteleError('overloaded', 'the caller did not wait for the answer'))
      }
      queue.push(wake)
      res.once('close', leave)
    })
  }

  /** Passes the turn to the next waiting request. `#making` changes only when none waits. */
  #next(): void {
    const [first] = this.#waiting
    if (!first) {
      this.#making--
      return
    }
    const [network, queue] = first
    const wake = queue.shift()!
    // This network moves behind the others.
    this.#waiting.delete(network)
    if (queue.length > 0) this.#waiting.set(network, queue)
    wake()
  }
}

/** The result of taking a share: `taken`; `full`, no room at all; `share`, this holder has too much already. */
type Taken = 'taken' | 'full' | 'share'

/** A bounded amount that many holders share. Owner of the total and of each holder's part. */
export class Quota {
  readonly #most: number
  readonly #mostEach: number
  #held = 0
  readonly #heldBy = new Map<string, number>()

  /**
   * @param most the most that all holders together may hold
   * @param mostEach the most that one holder may hold
   */
  constructor(most: number, mostEach: number) {
    this.#most = most
    this.#mostEach = mostEach
  }

  /** The amount that all holders together hold. */
  get held(): number {
    return this.#held
  }

  /** Takes an amount. Counts nothing unless the result is `taken`. */
  take(holder: string, amount: number): Taken {
    if (this.#held + amount > this.#most) return 'full'
    const held = (this.#heldBy.get(holder) ?? 0) + amount
    if (held > this.#mostEach) return 'share'
    this.#held += amount
    this.#heldBy.set(holder, held)
    return 'taken'
  }

  /** Gives back an amount that was taken. */
  release(holder: string, amount: number): void {
    if (amount === 0) return
    this.#held -= amount
    const held = this.#heldBy.get(holder)! - amount
    if (held > 0) this.#heldBy.set(holder, held)
    else this.#heldBy.delete(holder)
  }
}
