import type { IncomingMessage, ServerResponse } from 'node:http'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { LRUCache } from 'lru-cache'
import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import { HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import { encodeBundle } from '../tile/bundle.ts'
import { parseTilePath, TILE_WIDTH } from '../tile/path.ts'
import { acceptsGzip } from './accept.ts'
import { type Answer, overSignal, type Pieces } from './answer.ts'
import { checkpointAnswer } from './checkpoint.ts'
import { CORS_HEADERS, IMMUTABLE, INERT_CONTENT } from './headers.ts'
import { damagedEntry } from './proofs.ts'

export const OCTETS = 'application/octet-stream'
const TILE_HEADERS = { 'content-type': OCTETS, ...CORS_HEADERS, ...IMMUTABLE }
const BUNDLE_HEADERS = { ...TILE_HEADERS, ...INERT_CONTENT, vary: 'accept-encoding' }
const GZIP_HEADERS = { ...BUNDLE_HEADERS, 'content-encoding': 'gzip' }

/** What is served by c2sp.org/tlog-tiles: a log of our own, or a copy of somebody's. Nothing beyond what is published. */
interface TiledLog extends BundleSource {
  /** @throws SteleError `not_found` while nothing is */
  readonly published: { readonly checkpoint: string }
}

/** The answers of c2sp.org/tlog-tiles. Owner of the cache of compressed bundles. */
export class TiledAnswers {
  readonly #bundles: Bundles

  /** @param cacheBytes how much compressed bytes are kept, over all logs */
  constructor(cacheBytes: number) {
    this.#bundles = new Bundles(cacheBytes)
  }

  checkpoint({ published }: TiledLog, { headers }: IncomingMessage): Answer {
    return checkpointAnswer(published, headers['if-none-match'])
  }

  /** @param rest the path below the log's prefix. @throws SteleError `malformed`, `not_found` */
  async tile(log: TiledLog, rest: string): Promise<Answer> {
    return { status: 200, headers: TILE_HEADERS, body: await log.readTile(parseTilePath(rest)) }
  }

  /** @throws SteleError as {@link tile}; `corrupt` for an entry that does not fit its leaf hash */
  async bundle({ name, log, rest, req, res }: TiledCall): Promise<Answer> {
    const request: BundleRequest = { name, log, ...parseTilePath(rest), over: overSignal(res) }
    if (!acceptsGzip(req.headers['accept-encoding'])) {
      return { status: 200, headers: BUNDLE_HEADERS, body: await this.#bundles.plain(request) }
    }
    const { body, isGzip } = await this.#bundles.forGzip(request)
    return { status: 200, headers: isGzip ? GZIP_HEADERS : BUNDLE_HEADERS, body }
  }
}

/** A request for a file of a log. */
export interface TiledCall {
  /** Tells logs apart in the cache. */
  readonly name: string
  readonly log: TiledLog
  /** The path below the log's prefix. */
  readonly rest: string
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

const compress = promisify(gzip)

/** A log whose bundles are read: our own, or a copy of somebody's. */
type BundleSource = Pick<Log, 'origin' | 'readEntries' | 'readTile'>

/** An entry bundle of a log, and who asks for it. */
interface BundleRequest {
  readonly name: string
  readonly log: BundleSource
  readonly index: number
  readonly width: number
  /** Aborted when nobody waits for it any more. */
  readonly over: AbortSignal
}

/** A bundle as it is sent: compressed, or as it is where that would save nothing. */
interface SentBundle {
  readonly body: Uint8Array | Pieces
  readonly isGzip: boolean
}

/** One that is kept. */
interface KeptBundle extends SentBundle {
  readonly body: Uint8Array
}

/**
 * So many bytes at the beginning say whether a bundle can be compressed. Compressing is the dearest thing there is to a
 * bundle, and dearest where it is in vain: sealed, signed or compressed payloads take zlib twice as long as text, their
 * readers must inflate them, and all that for one hundredth of the bytes.
 */
const SAMPLE_BYTES = 4096
/** Below this share of what it was, the sample counts as compressed. */
const WORTH_IT = 0.9

/**
 * A bundle above this is sent as it is, and read piece by piece while it is sent: 256 entries may have 16 MiB, and as
 * many callers as there are connections may ask for them.
 */
const WHOLE_BYTES = 1024 * 1024
/** So much is read and hashed at a stretch: about a millisecond. */
const PIECE_BYTES = 256 * 1024
/** Of what is kept, this share is for partial bundles, so that asking for every width pushes out no full one. */
const PARTIAL_SHARE = 0.25

/** Reads entry bundles, and keeps them compressed: they never change, and compressing costs more than the reading. */
class Bundles {
  readonly #full: LRUCache<string, KeptBundle, BundleRequest>
  readonly #partial: LRUCache<string, KeptBundle, BundleRequest>

  /** @param cacheBytes how much is kept of what was made for those who accept gzip */
  constructor(cacheBytes: number) {
    this.#full = this.#cache(cacheBytes * (1 - PARTIAL_SHARE))
    this.#partial = this.#cache(cacheBytes * PARTIAL_SHARE)
  }

  /**
   * The bytes as they are.
   *
   * @throws SteleError `not_found` beyond the published size, `corrupt` for an entry that does not fit its leaf hash
   */
  async plain(request: BundleRequest): Promise<Uint8Array | Pieces> {
    return (await readWhole(request)) ?? inPieces(request)
  }

  /** For those who accept gzip. Throws as `plain` does. */
  async forGzip(request: BundleRequest): Promise<SentBundle> {
    const { name, index, width } = request
    const kept =
      width < TILE_WIDTH
        ? await this.#partial.fetch(`${name}/${index}/${width}`, { context: request })
        : await this.#full.fetch(`${name}/${index}`, { context: request })
    return kept ?? { body: await this.plain(request), isGzip: false }
  }

  #cache(bytes: number): LRUCache<string, KeptBundle, BundleRequest> {
    return new LRUCache<string, KeptBundle, BundleRequest>({
      maxSize: Math.max(1, Math.floor(bytes)),
      sizeCalculation: ({ body }) => Math.max(1, body.length),
      // Many who ask at once wait for one compression.
      fetchMethod: (_key, _stale, { context }) => this.#compress(context),
    })
  }

  /** On a thread of zlib's, so that other requests are answered meanwhile. Undefined for one that is sent in pieces. */
  async #compress(request: BundleRequest): Promise<KeptBundle | undefined> {
    const body = await readWhole(request)
    if (!body) return undefined
    const sample = body.subarray(0, SAMPLE_BYTES)
    const shrinks = (await compress(sample)).length < WORTH_IT * sample.length
    return shrinks ? { body: await compress(body), isGzip: true } : { body, isGzip: false }
  }
}

/** The bundle, or undefined for one that is sent in pieces. */
async function readWhole(request: BundleRequest): Promise<Uint8Array | undefined> {
  const { log, index, width } = request
  const begin = index * TILE_WIDTH
  const [entries, tile] = await Promise.all([
    log.readEntries(begin, begin + width, WHOLE_BYTES),
    log.readTile({ level: 0, index, width }),
  ])
  if (entries.length < width) return undefined
  checkEntries(request, tile, 0, entries)
  return encodeBundle(entries)
}

/**
 * Reads the bundle once to compare all of it with the tree and to learn its length, keeping nothing, and once more while
 * it is sent.
 */
async function inPieces(request: BundleRequest): Promise<Pieces> {
  const { log, index, width } = request
  const tile = await log.readTile({ level: 0, index, width })
  let length = 0
  for await (const entries of entriesOf(request, tile)) {
    for (const entry of entries) length += 2 + entry.length
  }
  return {
    length,
    async *[Symbol.asyncIterator]() {
      for await (const entries of entriesOf(request, tile)) yield encodeBundle(entries)
    },
  }
}

/** All entries in order, a piece at a time, each compared with the tree. */
async function* entriesOf(
  request: BundleRequest,
  tile: Uint8Array,
): AsyncGenerator<Uint8Array[], void, undefined> {
  const { log, index, width, over } = request
  const begin = index * TILE_WIDTH
  for (let done = 0; done < width;) {
    if (over.aborted) throw new SteleError('overloaded', 'the caller did not wait for the bundle')
    const entries = await log.readEntries(begin + done, begin + width, PIECE_BYTES)
    checkEntries(request, tile, done, entries)
    done += entries.length
    yield entries
  }
}

/**
 * Compares entries with the tree, for disks rot: all at once, since who reads whole logs asks for nothing but bundles.
 *
 * @param from the place of the first of them in the bundle
 */
function checkEntries(
  { log, index }: BundleRequest,
  tile: Uint8Array,
  from: number,
  entries: readonly Uint8Array[],
): void {
  const leaves = new Uint8Array(entries.length * HASH_BYTES)
  entries.forEach((entry, i) => hashLeafInto(leaves, i * HASH_BYTES, entry))
  const expected = tile.subarray(from * HASH_BYTES, (from + entries.length) * HASH_BYTES)
  if (equalBytes(leaves, expected)) return
  const wrong = leaves.findIndex((byte, i) => byte !== expected[i])
  throw damagedEntry(log, index * TILE_WIDTH + from + Math.floor(wrong / HASH_BYTES))
}
