import { equalBytes } from '../bytes/bytes.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'

/** Leaf hashes of one round of look-ups: bounds how long one call keeps a thread of the pool busy. */
const MAX_ROUND = 8192

interface Request {
  readonly leafHashes: Uint8Array
  readonly resolve: (indexes: (number | undefined)[]) => void
  readonly reject: (reason: unknown) => void
}

/**
 * Finds leaves that are in the log by their hash. While one round of look-ups runs the next one gathers, so that
 * many callers with one leaf each cost one call of the index.
 */
export class LeafFinder {
  readonly #index: LeafIndex
  readonly #storedLeafHashes: (indexes: readonly number[]) => Promise<(Uint8Array | undefined)[]>
  #waiting: Request[] = []
  #running = false

  /** @param storedLeafHashes reads leaf hashes from the log's own tiles, undefined beyond the tree */
  constructor(
    index: LeafIndex,
    storedLeafHashes: (indexes: readonly number[]) => Promise<(Uint8Array | undefined)[]>,
  ) {
    this.#index = index
    this.#storedLeafHashes = storedLeafHashes
  }

  /** The index of each leaf hash of the slab, checked against the stored tile; undefined if it is not indexed. */
  find(leafHashes: Uint8Array): Promise<(number | undefined)[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ leafHashes, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.#waiting.length > 0) await this.#round(this.#takeRound())
    this.#running = false
  }

  #takeRound(): Request[] {
    let hashes = 0
    const over = this.#waiting.findIndex(
      (request, i) => (hashes += request.leafHashes.length / HASH_BYTES) > MAX_ROUND && i > 0,
    )
    return this.#waiting.splice(0, over < 0 ? this.#waiting.length : over)
  }

  async #round(requests: readonly Request[]): Promise<void> {
    try {
      const slab = requests.length === 1 ? requests[0]!.leafHashes : joined(requests)
      const found = await this.#verified(slab, await this.#index.lookup(slab))
      let at = 0
      for (const { leafHashes, resolve } of requests) {
        resolve(found.slice(at, (at += leafHashes.length / HASH_BYTES)))
      }
    } catch (error) {
      for (const { reject } of requests) reject(error)
    }
  }

  /** The index may have rotted, so what it says is believed only where the log's tile holds that very hash. */
  async #verified(slab: Uint8Array, candidates: (number | undefined)[]): Promise<(number | undefined)[]> {
    const hits = candidates.flatMap((index, i) => (index === undefined ? [] : [{ index, i }]))
    if (hits.length === 0) return candidates
    const stored = await this.#storedLeafHashes(hits.map(({ index }) => index))
    const verified: (number | undefined)[] = candidates.map(() => undefined)
    hits.forEach(({ index, i }, n) => {
      const hash = slab.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)
      if (stored[n] && equalBytes(stored[n], hash)) verified[i] = index
    })
    return verified
  }
}

function joined(requests: readonly Request[]): Uint8Array {
  return Buffer.concat(requests.map((request) => request.leafHashes))
}
