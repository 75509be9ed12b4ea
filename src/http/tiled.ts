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
import { damagedEntry } from '../log/checked-entries.ts'

export const OCTETS = 'application/octet-stream'
const TILE_HEADERS = { 'content-type': OCTETS, ...CORS_HEADERS, ...IMMUTABLE }
const BUNDLE_HEADERS = { ...TILE_HEADERS, ...INERT_CONTENT, vary: 'accept-encoding' }
const GZIP_HEADERS = { ...BUNDLE_HEADERS, 'content-encoding': 'gzip' }

/**
 * A log that is served by c2sp.org/tlog-tiles: one of this server, or a mirrored one. Serves only what is published.
 */
interface TiledLog extends BundleSource {
  /** @throws SteleError `not_found` while nothing is published */
  readonly published: { readonly checkpoint: string }
}

/** The answers of c2sp.org/tlog-tiles. Owner of the cache of compressed bundles. */
export class TiledAnswers {
  readonly #bundles: Bundles

  /** @param cacheBytes bytes of compressed bundles to keep, over all logs */
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

  /** @throws SteleError as {@link tile}; `corrupt` for an entry that does not match its leaf hash */
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
  /** Identifies the log in the cache. */
  readonly name: string
  readonly log: TiledLog
  /** The path below the log's prefix. */
  readonly rest: string
  readonly req: IncomingMessage
  readonly res: ServerResponse
}

const compress = promisify(gzip)

/** A log whose bundles are read: one of this server, or a mirrored one. */
type BundleSource = Pick<Log, 'origin' | 'readEntries' | 'readTile'>

/** A request for an entry bundle. */
interface BundleRequest {
  readonly name: string
  readonly log: BundleSource
  readonly index: number
  readonly width: number
  /** Aborted when the caller no longer waits. */
  readonly over: AbortSignal
}

/** A bundle as it is sent: compressed, or unchanged where compression would save nothing. */
interface SentBundle {
  readonly body: Uint8Array | Pieces
  readonly isGzip: boolean
}

/** A bundle in the cache. */
interface KeptBundle extends SentBundle {
  readonly body: Uint8Array
}

/**
 * This many bytes at the start decide whether a bundle is worth compressing. Compression is the most expensive step for
 * a bundle, and most expensive where it saves nothing: encrypted or compressed payloads take zlib twice as long as text
 * and shrink by one hundredth, and their readers have to inflate them.
 */
const SAMPLE_BYTES = 4096
/** The bundle is compressed if its sample shrinks below this share. */
const WORTH_IT = 0.9

/**
 * A larger bundle is sent uncompressed and read piece by piece while it is sent: 256 entries may have 16 MiB, and as
 * many callers as there are connections may ask for them.
 */
const WHOLE_BYTES = 1024 * 1024
/** Bytes that are read and hashed before other requests get their turn: about a millisecond. */
const PIECE_BYTES = 256 * 1024
/** The share of the cache for partial bundles, so that requests for every width cannot evict full ones. */
const PARTIAL_SHARE = 0.25

/** Reads entry bundles and caches them compressed: they never change, and compressing costs more than reading. */
class Bundles {
  readonly #full: LRUCache<string, KeptBundle, BundleRequest>
  readonly #partial: LRUCache<string, KeptBundle, BundleRequest>

  /** @param cacheBytes bytes of compressed bundles to keep */
  constructor(cacheBytes: number) {
    this.#full = this.#cache(cacheBytes * (1 - PARTIAL_SHARE))
    this.#partial = this.#cache(cacheBytes * PARTIAL_SHARE)
  }

  /**
   * The uncompressed bundle.
   *
   * @throws SteleError `not_found` beyond the published size, `corrupt` for an entry that does not match its leaf hash
   */
  async plain(request: BundleRequest): Promise<Uint8Array | Pieces> {
    return (await readWhole(request)) ?? inPieces(request)
  }

  /** The bundle for callers that accept gzip. Throws as `plain` does. */
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
      // Concurrent requests for a bundle share one compression.
      fetchMethod: (_key, _stale, { context }) => this.#compress(context),
    })
  }

  /** Compresses on a zlib thread, so that the event loop is free. Undefined for a bundle that is sent in pieces. */
  async #compress(request: BundleRequest): Promise<KeptBundle | undefined> {
    const body = await readWhole(request)
    if (!body) return undefined
    const sample = body.subarray(0, SAMPLE_BYTES)
    const shrinks = (await compress(sample)).length < WORTH_IT * sample.length
    return shrinks ? { body: await compress(body), isGzip: true } : { body, isGzip: false }
  }
}

/** The whole bundle, or undefined for one that is sent in pieces. */
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
 * Reads the bundle twice: once to check all of it against the tree and to learn its length, keeping nothing, and again
 * while it is sent.
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

/** All entries in order, a piece at a time, each checked against the tree. */
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
 * Checks entries against the tree, because disks decay. All at once: callers that read whole logs ask only for bundles.
 *
 * @param from the position of the first entry in the bundle
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
