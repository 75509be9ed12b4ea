/** Sub-buckets of each power of two: a recorded time is off by at most 1/64. */
const SUB_BUCKETS = 64
const BUCKETS = 32 * SUB_BUCKETS
const LONGEST_US = 2 ** 31 - 1

/** Times in buckets that grow with the time: memory stays the same, however many are recorded. */
export class Histogram {
  readonly #counts = new Float64Array(BUCKETS)
  #count = 0
  #sumMs = 0
  #maxMs = 0

  /** How many times were recorded. */
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
   * The time that a share of all recorded ones did not exceed, 0 if there are none.
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
