import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import { encodeBundle } from '../tile/bundle.ts'
import { checkedEntries, type EntrySource } from './proofs.ts'

const compress = promisify(gzip)

/** An entry bundle of a log, and who asks for it. */
export interface BundleRequest {
  readonly name: string
  readonly log: EntrySource
  readonly index: number
  readonly width: number
}

/** Reads entry bundles, and keeps full ones compressed: they never change, and compressing costs ten times the reading. */
export class Bundles {
  readonly #compressed: LRUCache<string, Uint8Array, BundleRequest>

  /** @param cacheBytes how much compressed bytes are kept */
  constructor(cacheBytes: number) {
    this.#compressed = new LRUCache<string, Uint8Array, BundleRequest>({
      maxSize: Math.max(1, cacheBytes),
      sizeCalculation: (bytes) => Math.max(1, bytes.length),
      // Many who ask at once wait for one compression.
      fetchMethod: (_key, _stale, { context }) => this.#compress(context),
    })
  }

  /**
   * The bytes as they are.
   *
   * @throws SteleError `not_found` beyond the published size, `corrupt` for an entry that does not fit its leaf hash
   */
  async plain({ log, index, width }: BundleRequest): Promise<Uint8Array> {
    const entries = await checkedEntries(log, index * 256, index * 256 + width)
    return encodeBundle(entries.map(({ entry }) => entry))
  }

  /** The bytes in gzip. Throws as `plain` does. */
  async gzipped(request: BundleRequest): Promise<Uint8Array> {
    if (request.width < 256) return this.#compress(request)
    const key = `${request.name}/${request.index}`
    return (await this.#compressed.fetch(key, { context: request }))!
  }

  /** On a thread of zlib's, so that other requests are answered meanwhile. */
  async #compress(request: BundleRequest): Promise<Uint8Array> {
    return compress(await this.plain(request))
  }
}
