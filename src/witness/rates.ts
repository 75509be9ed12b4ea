import { SteleError } from '../errors.ts'
import { Buckets, networkOf, type Rate } from '../http/rates.ts'
import type { WitnessLimits } from './routes.ts'

/** Bounds the request rate of each caller. */
export class CallerRates {
  readonly #rate: Rate
  readonly #buckets: Buckets

  constructor({ callerRequestsPerSecond, callerBurst }: WitnessLimits) {
    this.#rate = { perSecond: callerRequestsPerSecond, burst: callerBurst }
    this.#buckets = new Buckets(() => performance.now())
  }

  /** Counts a request. @throws SteleError `rate_limited`; the request is not counted then */
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
