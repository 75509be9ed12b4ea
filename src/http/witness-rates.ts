import { LRUCache } from 'lru-cache'
import { SteleError } from '../errors.ts'

/** Addresses that are remembered; one that was forgotten starts afresh, which takes this many others. */
const MOST_CALLERS = 10_000

interface Rate {
  readonly perSecond: number
  readonly burst: number
  /** Milliseconds that only go forward. */
  readonly nowMs: () => number
}

/** Lets each caller come so often (a token bucket each). Owner of who came when. */
export class CallerRates {
  readonly #rate: Rate
  readonly #callers = new LRUCache<string, { tokens: number; atMs: number }>({ max: MOST_CALLERS })

  constructor(rate: Rate) {
    this.#rate = rate
  }

  /** Counts a request. @throws SteleError `rate_limited`, and then it does not count */
  take(address: string): void {
    const { perSecond, burst, nowMs } = this.#rate
    const caller = networkOf(address)
    const atMs = nowMs()
    const before = this.#callers.get(caller) ?? { tokens: burst, atMs }
    const tokens = Math.min(burst, before.tokens + ((atMs - before.atMs) / 1000) * perSecond)
    if (tokens < 1) {
      throw new SteleError(
        'rate_limited',
        `expected at most ${perSecond} requests per second; nothing was signed`,
        {
          retryAfterSeconds: Math.ceil((1 - tokens) / perSecond),
        },
      )
    }
    this.#callers.set(caller, { tokens: tokens - 1, atMs })
  }
}

/** Whoever has one IPv6 address has a network of 2^64 of them: the first four groups. */
function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [front = '', back = ''] = address.split('::')
  const left = front === '' ? [] : front.split(':')
  const right = back === '' ? [] : back.split(':')
  const zeroes = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeroes, ...right].slice(0, 4).join(':')
}
