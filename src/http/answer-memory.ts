import type { ServerResponse } from 'node:http'
import { SteleError } from '../errors.ts'
import { type Answer, heldBytes, isLarge, isPieces, MOST_BYTES, type Pieces } from './answer.ts'

/** One network may hold this share of the memory for answers: past it others still get theirs. */
const NETWORK_SHARE = 0.25
/**
 * Large answers and pieces of streamed ones that are being made at once. All of them read and hash, and what is asked for
 * beside them waits for each once in a turn of the event loop: with 60 at once an append took half a second.
 */
const MADE_AT_ONCE = 3
/** A moment: answers leave within seconds. */
const RETRY_AFTER_SECONDS = 2

/**
 * The memory and the processor time that large answers take: while they are made, by making few at once, and until their
 * callers have taken them, by a budget of bytes. Owner of both counts.
 */
export class AnswerMemory {
  readonly #bytes: Quota
  #making = 0
  /** Those who wait to be made, by network: each network in its turn, so that the requests of one delay no other. */
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(maxBytes: number) {
    this.#bytes = new Quota(maxBytes, Math.floor(maxBytes * NETWORK_SHARE))
  }

  /** Bytes of large answers that were made and not taken yet. */
  get bytes(): number {
    return this.#bytes.held
  }

  /**
   * Makes a large answer when it is its turn. Nothing is made for a caller who has gone meanwhile, nor for a network that
   * must take other answers first.
   *
   * @throws SteleError `overloaded`; what `make` throws
   */
  async make(network: string, res: ServerResponse, make: () => Promise<Answer> | Answer): Promise<Answer> {
    return this.#inTurn(network, res, () => {
      // Before the work is done, which may be in vain: whether there is room for the largest.
      this.#take(network, MOST_BYTES)
      this.#bytes.release(network, MOST_BYTES)
      return make()
    })
  }

  /**
   * Counts an answer until its caller has taken it or is gone. Small ones are not counted.
   *
   * @returns the answer; one in pieces makes each of them when it is its turn
   * @throws SteleError `overloaded`
   */
  hold(network: string, res: ServerResponse, answer: Answer): Answer {
    // A response that is over does not say so a second time.
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
    throw new SteleError('overloaded', `answers: ${who} must take those that are under way first`, {
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

  /** Hands the turn on: `#making` stays what it is, unless there is no one to hand it to. */
  #next(): void {
    const [first] = this.#waiting
    if (!first) {
      this.#making--
      return
    }
    const [network, queue] = first
    const wake = queue.shift()!
    // To the back of the line, behind the other networks.
    this.#waiting.delete(network)
    if (queue.length > 0) this.#waiting.set(network, queue)
    wake()
  }
}

/** What came of asking for a share: it was taken, there is no room at all, or this holder has too much already. */
type Taken = 'taken' | 'full' | 'share'

/** An amount of one thing that many hold parts of. Owner of the total and of what each of them holds. */
export class Quota {
  readonly #most: number
  readonly #mostEach: number
  #held = 0
  readonly #heldBy = new Map<string, number>()

  /**
   * @param most what all may hold together
   * @param mostEach what one may hold
   */
  constructor(most: number, mostEach: number) {
    this.#most = most
    this.#mostEach = mostEach
  }

  /** What all hold together. */
  get held(): number {
    return this.#held
  }

  /** Unless it answers `taken`, nothing was counted. */
  take(holder: string, amount: number): Taken {
    if (this.#held + amount > this.#most) return 'full'
    const held = (this.#heldBy.get(holder) ?? 0) + amount
    if (held > this.#mostEach) return 'share'
    this.#held += amount
    this.#heldBy.set(holder, held)
    return 'taken'
  }

  /** Gives back what was taken. */
  release(holder: string, amount: number): void {
    if (amount === 0) return
    this.#held -= amount
    const held = this.#heldBy.get(holder)! - amount
    if (held > 0) this.#heldBy.set(holder, held)
    else this.#heldBy.delete(holder)
  }
}
