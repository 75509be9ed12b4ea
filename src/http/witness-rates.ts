import { SteleError } from '../errors.ts'
import { Buckets, networkOf, type Rate } from './rates.ts'

/** Lets each caller come so often. */
export class CallerRates {
  readonly #rate: Rate
  readonly #buckets: Buckets

  /** @param rate.nowMs milliseconds that only go forward */
  constructor(rate: Rate & { readonly nowMs: () => number }) {
    this.#rate = rate
    this.#buckets = new Buckets(rate.nowMs)
  }

  /** Counts a request. @throws SteleError `rate_limited`, and then it does not count */
  take(address: string): void {
    const waitSeconds = this.#buckets.take(networkOf(address), this.#rate)
    if (waitSeconds === 0) return
    throw new SteleError(
      'rate_limited',
      `expected at most ${this.#rate.perSecond} requests per second; nothing was signed`,
      { retryAfterSeconds: Math.ceil(waitSeconds), limit: this.#rate.burst },
    )
  }
}
