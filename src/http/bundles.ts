import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import { equalBytes } from '../bytes/bytes.ts'
import type { Log } from '../log/log.ts'
import { HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import { encodeBundle } from '../tile/bundle.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { damagedEntry } from './proofs.ts'

const compress = promisify(gzip)

/** A log whose bundles are read: our own, or a copy of somebody's. */
export type BundleSource = Pick<Log, 'origin' | 'readEntries' | 'readTile'>

/** An entry bundle of a log, and who asks for it. */
export interface BundleRequest {
  readonly name: string
  readonly log: BundleSource
  readonly index: number
  readonly width: number
}

/** A bundle as it is sent: compressed, or as it is where that would save nothing. */
export interface SentBundle {
  readonly bytes: Uint8Array
  readonly isGzip: boolean
}

/**
 * So many bytes at the beginning say whether a bundle can be compressed. Compressing is the dearest thing there is to a
 * bundle, and dearest where it is in vain: sealed, signed or compressed payloads take zlib twice as long as text, their
 * readers must inflate them, and all that for one hundredth of the bytes.
 */
const SAMPLE_BYTES = 4096
/** Below this share of what it was, the sample counts as compressed. */
const WORTH_IT = 0.9

/** Reads entry bundles, and keeps full ones compressed: they never change, and compressing costs more than the reading. */
export class Bundles {
  readonly #forGzip: LRUCache<string, SentBundle, BundleRequest>

  /** @param cacheBytes how much is kept of what was made for those who accept gzip */
  constructor(cacheBytes: number) {
    this.#forGzip = new LRUCache<string, SentBundle, BundleRequest>({
      maxSize: Math.max(1, cacheBytes),
      sizeCalculation: ({ bytes }) => Math.max(1, bytes.length),
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
    const begin = index * TILE_WIDTH
    const [entries, tile] = await Promise.all([
      log.readEntries(begin, begin + width),
      log.readTile({ level: 0, index, width }),
    ])
    // Compared with the tree, for disks rot: all at once, since who reads whole logs asks for nothing but bundles.
    const leaves = new Uint8Array(width * HASH_BYTES)
    entries.forEach((entry, i) => hashLeafInto(leaves, i * HASH_BYTES, entry))
    if (!equalBytes(leaves, tile)) {
      const wrong = leaves.findIndex((byte, i) => byte !== tile[i])
      throw damagedEntry(log, begin + Math.floor(wrong / HASH_BYTES))
    }
    return encodeBundle(entries)
  }

  /** For those who accept gzip. Throws as `plain` does. */
  async forGzip(request: BundleRequest): Promise<SentBundle> {
    if (request.width < TILE_WIDTH) return this.#compress(request)
    const key = `${request.name}/${request.index}`
    return (await this.#forGzip.fetch(key, { context: request }))!
  }

  /** On a thread of zlib's, so that other requests are answered meanwhile. */
  async #compress(request: BundleRequest): Promise<SentBundle> {
    const plain = await this.plain(request)
    const sample = plain.subarray(0, SAMPLE_BYTES)
    const shrinks = (await compress(sample)).length < WORTH_IT * sample.length
    return shrinks ? { bytes: await compress(plain), isGzip: true } : { bytes: plain, isGzip: false }
  }
}
