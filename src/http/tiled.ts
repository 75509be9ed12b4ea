import type { IncomingMessage, ServerResponse } from 'node:http'
import { parseTilePath } from '../tile/path.ts'
import { acceptsGzip } from './accept.ts'
import { overSignal, type Answer } from './answer.ts'
import { Bundles, type BundleRequest, type BundleSource } from './bundles.ts'
import { checkpointAnswer } from './checkpoint.ts'
import { CORS_HEADERS, IMMUTABLE, INERT_CONTENT } from './headers.ts'

export const OCTETS = 'application/octet-stream'
const TILE_HEADERS = { 'content-type': OCTETS, ...CORS_HEADERS, ...IMMUTABLE }
const BUNDLE_HEADERS = { ...TILE_HEADERS, ...INERT_CONTENT, vary: 'accept-encoding' }
const GZIP_HEADERS = { ...BUNDLE_HEADERS, 'content-encoding': 'gzip' }

/** What is served by c2sp.org/tlog-tiles: a log of our own, or a copy of somebody's. Nothing beyond what is published. */
export interface TiledLog extends BundleSource {
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
