import { type Exchange, LoadConnection } from './connection.ts'

/** How to load a server. */
export interface LoadOptions {
  readonly target: { readonly host: string; readonly port: number }
  readonly connections: number
  /** Returns what a connection sends, given the connection's number. */
  readonly exchange: (connection: number) => Exchange
  /**
   * Requests per second of all connections together. If left out, each connection sends as soon as it has a response.
   */
  readonly ratePerSecond?: number | undefined
}

const PACE_MS = 1
const PATIENCE_MS = 10_000

/**
 * Connections that send requests until they are stopped. With a rate, requests are due at fixed times. Latency is
 * measured from the due time, also while no connection is free, so that a server that stalls does not get better
 * figures.
 */
export class Load {
  readonly meter = new Meter()
  readonly #connections: readonly LoadConnection[]
  readonly #intervalMs: number | undefined
  /** Idle connections, the longest-idle first. A connection that closed meanwhile is not ready. */
  readonly #idle = new Set<LoadConnection>()
  #nextDueMs = 0
  #timer: NodeJS.Timeout | undefined

  constructor({ target, connections, exchange, ratePerSecond }: LoadOptions) {
    this.#intervalMs = ratePerSecond === undefined ? undefined : 1000 / ratePerSecond
    this.#connections = Array.from({ length: connections }, (_, i) => {
      return new LoadConnection(target, exchange(i), this.meter, (connection) => this.#onIdle(connection))
    })
  }

  start(): void {
    for (const connection of this.#connections) connection.start()
    if (this.#intervalMs === undefined) return
    this.#nextDueMs = performance.now()
    this.#timer = setInterval(() => this.#pace(), PACE_MS)
  }

  /** Sends no more requests. Resolves when every request has its response, or was given up after ten seconds. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#timer = undefined
    await Promise.all(this.#connections.map((connection) => connection.stop(PATIENCE_MS)))
  }

  #onIdle(connection: LoadConnection): void {
    if (this.#intervalMs === undefined) return connection.send(performance.now())
    this.#idle.add(connection)
    this.#pace()
  }

  #pace(): void {
    if (!this.#timer) return
    const nowMs = performance.now()
    for (const connection of this.#idle) {
      if (this.#nextDueMs > nowMs) return
      this.#idle.delete(connection)
      if (!connection.ready) continue
      connection.send(this.#nextDueMs)
      this.#nextDueMs += this.#intervalMs!
    }
  }
}

/** The results of the requests of one kind. */
export class Meter {
  readonly latency = new Histogram()
  /** Number of correct responses. */
  answered = 0
  /** Responses of status 429 and 503: the server refused, and nothing was logged. */
  refused = 0
  /** All other failures, by reason. */
  readonly failures = new Map<string, number>()

  /** @param fault what is wrong with the response; undefined if it is correct */
  record(tookMs: number, fault: string | undefined): void {
    if (fault !== undefined) return this.fail(fault)
    this.answered++
    this.latency.record(tookMs)
  }

  fail(reason: string): void {
    this.failures.set(reason, (this.failures.get(reason) ?? 0) + 1)
  }

  get failed(): number {
    let sum = 0
    for (const count of this.failures.values()) sum += count
    return sum
  }

  /** Clears times and counts at the end of a warm-up. Failures stay. */
  reset(): void {
    this.latency.reset()
    this.answered = 0
    this.refused = 0
  }
}

/** Sub-buckets of each power of two: a recorded time is off by at most 1/64. */
const SUB_BUCKETS = 64
const BUCKETS = 32 * SUB_BUCKETS
const LONGEST_US = 2 ** 31 - 1

/** A histogram whose buckets grow with the time, so that memory does not depend on the number of samples. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sumMs = 0
  #maxMs = 0

  /** Number of recorded times. */
  get count(): number {
    return this.#count
  }

  get maxMs(): number {
    return this.#maxMs
  }

  get meanMs(): number {
    return this.#count > 0 ? this.#sumMs / this.#count : 0
  }

  record(ms: number): void {
    this.#count++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
    this.#counts[bucketOf(ms)]! += 1
  }

  /**
   * The time that this share of all recorded times did not exceed; 0 if none were recorded.
   *
   * @param share 0 to 1
   */
  quantileMs(share: number): number {
    let left = Math.ceil(this.#count * share)
    if (left === 0) return 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#counts[bucket]!
      if (left <= 0) return Math.min(this.#maxMs, upperEndMs(bucket))
    }
    return this.#maxMs
  }

  reset(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sumMs = 0
    this.#maxMs = 0
  }
}

function bucketOf(ms: number): number {
  const us = Math.min(LONGEST_US, Math.max(0, Math.round(ms * 1000)))
  // Microseconds are below 2^31 here, so bit operators are exact: the seven highest bits choose the bucket.
  const shift = Math.max(0, 25 - Math.clz32(us))
  return shift * SUB_BUCKETS + (us >> shift)
}

function upperEndMs(bucket: number): number {
  const shift = Math.max(0, Math.floor(bucket / SUB_BUCKETS) - 1)
  return ((bucket - shift * SUB_BUCKETS + 1) * 2 ** shift) / 1000
}

/** A uniform random sample of bounded size (reservoir sampling). */
export class Sample<T> {
  readonly #size: number
  readonly #kept: T[] = []
  #seen = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Offers one item; `make` is called only if the item is kept. */
  offer(make: () => T): void {
    const place = this.#seen < this.#size ? this.#seen : Math.floor(Math.random() * (this.#seen + 1))
    this.#seen++
    if (place < this.#size) this.#kept[place] = make()
  }

  get kept(): readonly T[] {
    return this.#kept
  }
}
