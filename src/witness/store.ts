import { SteleError } from '../errors.ts'
import type { CosignedHead } from './head.ts'
import { Turns } from '../bytes/turns.ts'

/** The decision of a step: a head to store, if any, and the result for its caller once it is stored. */
export interface Step<T> {
  readonly next?: CosignedHead
  readonly result: T
}

/**
 * The heads that a witness cosigned last, one for each origin. Owner of that state: it only moves in `update`.
 *
 * What every implementation guarantees, and `test/witness/store-contract.ts` checks:
 * - steps of one origin run one at a time, each on what the one before it left;
 * - what a step decides to keep is on disk before its caller gets the result;
 * - `get` and `heads` see only what is on disk.
 */
export interface WitnessStore {
  /** What is kept of an origin. @param originHash as `originHash` gives it */
  get(originHash: string): CosignedHead | undefined
  /** All that is kept, of logs too that are not witnessed any more. */
  heads(): Iterable<CosignedHead>
  /**
   * Runs a step atomically: it reads the head and may replace it. If this rejects with the error of `step`, nothing was
   * changed. If it rejects with `outcome_unknown`, the head may or may not be on disk, and every later update is
   * refused until the store is opened again.
   *
   * @throws SteleError `outcome_unknown`; `log_halted` after such a failure; `rate_limited` if too many wait for this
   *   origin; `shutting_down`
   */
  update<T>(originHash: string, step: (held: CosignedHead | undefined) => Promise<Step<T>>): Promise<T>
  /** Why updates are refused, or undefined while they are not. */
  readonly failure: SteleError | undefined
  /** Refuses new updates, lets those that wait end, and closes. */
  close(): Promise<void>
}

/** Where a {@link HeadStore} keeps heads. */
export interface HeadDisk {
  /** Resolves once the head is durable. If it rejects, the head may or may not be there. */
  write(originHash: string, head: CosignedHead): Promise<void>
  close(): Promise<void>
}

/** Updates of one origin that may wait: each holds a request, and one log has few of them. */
const MOST_WAITING = 64

/** Heads in memory, written through to a disk. Owner of the map, of the turns, and of whether it still takes updates. */
export class HeadStore implements WitnessStore {
  readonly #heads: Map<string, CosignedHead>
  readonly #disk: HeadDisk
  readonly #turns = new Turns(MOST_WAITING)
  #failure: SteleError | undefined
  #closing = false

  /** @param heads what the disk holds, verified, by origin hash */
  constructor(heads: ReadonlyMap<string, CosignedHead>, disk: HeadDisk) {
    this.#heads = new Map(heads)
    this.#disk = disk
  }

  get failure(): SteleError | undefined {
    return this.#failure
  }

  get(originHash: string): CosignedHead | undefined {
    return this.#heads.get(originHash)
  }

  heads(): Iterable<CosignedHead> {
    return this.#heads.values()
  }

  async update<T>(
    originHash: string,
    step: (held: CosignedHead | undefined) => Promise<Step<T>>,
  ): Promise<T> {
    if (this.#closing) throw new SteleError('shutting_down', 'this witness is stopping; nothing was signed')
    return this.#turns.take(originHash, async () => {
      // Checked in its turn: the update before it may have failed.
      this.#checkWritable()
      const { next, result } = await step(this.#heads.get(originHash))
      if (next) await this.#keep(originHash, next)
      return result
    })
  }

  async close(): Promise<void> {
    this.#closing = true
    await this.#turns.idle()
    await this.#disk.close()
  }

  async #keep(originHash: string, next: CosignedHead): Promise<void> {
    // A write of another origin may have failed while the step ran; the state of the disk is unknown after that.
    this.#checkWritable()
    try {
      await this.#disk.write(originHash, next)
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      this.#failure ??= new SteleError('outcome_unknown', `keeping a cosigned head failed: ${message}`, {
        cause,
      })
      throw this.#failure
    }
    this.#heads.set(originHash, next)
  }

  #checkWritable(): void {
    if (!this.#failure) return
    throw new SteleError(
      'log_halted',
      'this witness signs nothing until it is started again: writing to its disk failed',
      { cause: this.#failure },
    )
  }
}

/** A store without a disk. */
export function memoryWitnessStore(): WitnessStore {
  return new HeadStore(new Map(), { async write() {}, async close() {} })
}
