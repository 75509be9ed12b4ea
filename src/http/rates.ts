import { LRUCache } from 'lru-cache'
import type { Caller } from '../access/caller.ts'
import { SteleError } from '../errors.ts'

/** Callers that are remembered. A caller that was forgotten, after this many others, gets a full bucket again. */
const MOST_CALLERS = 10_000
/** Wrong credentials that one network may send in a row, and how many more each second. */
const GUESSES = { perSecond: 1, burst: 20 }

/** How often something may happen. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** A token bucket for each of many callers. Owner of the buckets. */
export class Buckets {
  readonly #nowMs: () => number
  readonly #callers = new LRUCache<string, { tokens: number; atMs: number }>({ max: MOST_CALLERS })

  /** @param nowMs a monotonic clock in milliseconds */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** Takes one token. @returns seconds to wait until there is one; 0 when it was taken */
  take(caller: string, { perSecond, burst }: Rate): number {
    const atMs = this.#nowMs()
    const known = this.#callers.get(caller)
    const bucket = known ?? { tokens: burst, atMs }
    const earned = (Math.max(0, atMs - bucket.atMs) / 1000) * perSecond
    const tokens = Math.min(burst, bucket.tokens + earned)
    if (tokens < 1) return (1 - tokens) / perSecond
    bucket.tokens = tokens - 1
    bucket.atMs = atMs
    if (!known) this.#callers.set(caller, bucket)
    return 0
  }
}

/** Requests per second that an instance grants; 0: no limit. */
export interface RequestLimits {
  /** For one address, over requests without credentials. */
  readonly perAddress: number
  /** For one key or person, unless the key has its own rate. */
  readonly perKey: number
}

/** Bounds the request rate of each caller, and the rate at which credentials can be guessed. */
export class RequestRates {
  readonly #limits: RequestLimits
  readonly #requests: Buckets
  readonly #guesses: Buckets

  constructor(limits: RequestLimits, nowMs: () => number = () => performance.now()) {
    this.#limits = limits
    this.#requests = new Buckets(nowMs)
    this.#guesses = new Buckets(nowMs)
  }

  /** Counts a request. @throws SteleError `rate_limited`; the request is not counted then */
  take(caller: Caller, own?: number): void {
    const isAnonymous = caller.kind === 'anonymous'
    const perSecond = own ?? (isAnonymous ? this.#limits.perAddress : this.#limits.perKey)
    if (perSecond === 0) return
    const rate = { perSecond, burst: Math.max(1, Math.ceil(perSecond * 2)) }
    const share = isAnonymous ? networkOf(caller.share) : caller.share
    refuse(this.#requests.take(share, rate), rate, 'requests')
  }

  /** Counts wrong credentials. @throws SteleError `rate_limited` when there were too many */
  countGuess(address: string): void {
    refuse(this.#guesses.take(networkOf(address), GUESSES), GUESSES, 'failed attempts')
  }
}

function refuse(waitSeconds: number, { perSecond, burst }: Rate, what: string): void {
  if (waitSeconds === 0) return
  throw new SteleError('rate_limited', `expected at most ${perSecond} ${what} per second; nothing was done`, {
    retryAfterSeconds: Math.ceil(waitSeconds),
    limit: burst,
  })
}

/** The network of an address. For IPv6 the first four groups: one holder of an address usually has 2^64 of them. */
export function networkOf(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [front = '', back = ''] = address.split('::')
  const left = front === '' ? [] : front.split(':')
  const right = back === '' ? [] : back.split(':')
  const zeroes = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0')
  return [...left, ...zeroes, ...right].slice(0, 4).join(':')
}
