import { decodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { HASH_BYTES } from '../merkle/hash.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import { decodeBundle, encodeBundle, MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import { formatBundlePath, formatTilePath, TILE_WIDTH } from '../tile/path.ts'
import { isPassing, retrying, type RetryLimits } from './retry.ts'
import { Transport, type TransportOptions } from './transport.ts'

const MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)

/** The files of any tlog-tiles log, read over HTTP. */
export class HttpFiles implements LogFiles {
  readonly #prefix: string
  readonly #transport: Transport
  readonly #limits: RetryLimits

  /**
   * @param url the log's prefix: the checkpoint is at `<url>/checkpoint`
   * @param limits how long reading is tried again while the log cannot be reached or asks for patience
   * @throws SteleError `usage` for what is not such a URL
   */
  constructor(
    url: string,
    transport: Transport | TransportOptions = {},
    limits: RetryLimits = { deadlineMs: 10_000 },
  ) {
    this.#prefix = logPrefix(url)
    this.#transport = transport instanceof Transport ? transport : new Transport(transport)
    this.#limits = limits
  }

  /** @throws SteleError as `Transport.ask`; `malformed` for what is not UTF-8 */
  async checkpoint(): Promise<string> {
    return decodeUtf8(await this.#get('checkpoint', MAX_NOTE_BYTES, true), 'checkpoint')
  }

  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const path = (w: number): string => formatTilePath({ level, index, width: w })
    return this.#widthOf(path, width, TILE_WIDTH * HASH_BYTES, (full) => full.subarray(0, width * HASH_BYTES))
  }

  async bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const path = (w: number): string => formatBundlePath(index, w)
    return this.#widthOf(path, width, MAX_BUNDLE_BYTES, (full) =>
      encodeBundle(decodeBundle(full).slice(0, width)),
    )
  }

  /** c2sp.org/tlog-tiles lets a log remove a partial file once the full one exists; then the full one is cut. */
  async #widthOf(
    path: (width: number) => string,
    width: number,
    maxBytes: number,
    cut: (full: Uint8Array) => Uint8Array,
  ): Promise<Uint8Array | undefined> {
    const exact = await this.#find(path(width), maxBytes)
    if (exact !== undefined || width === TILE_WIDTH) return exact
    const full = await this.#find(path(TILE_WIDTH), maxBytes)
    return full === undefined ? undefined : cut(full)
  }

  async #find(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    try {
      return await this.#get(path, maxBytes)
    } catch (error) {
      if (hasCode(error, 'not_found')) return undefined
      throw error
    }
  }

  #get(path: string, maxBytes: number, fresh = false): Promise<Uint8Array> {
    const { signal } = this.#limits
    return retrying(this.#transport.clock, this.#limits, isPassing, async (timeoutMs) => {
      const answer = await this.#transport.ask(this.#prefix + path, { maxBytes, timeoutMs, signal, fresh })
      return answer.body
    })
  }
}

/**
 * The prefix of a log's URLs, with the slash at its end.
 *
 * @throws SteleError `usage` for what is not an http or https URL, or has a query, a fragment or a password
 */
export function logPrefix(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.search || parsed.hash || parsed.username) {
    // Not repeated in the message: it may hold a password.
    throw new SteleError(
      'usage',
      'log URL: expected http(s)://<host>/<path of the log> and nothing behind the path',
    )
  }
  return parsed.href.endsWith('/') ? parsed.href : `${parsed.href}/`
}

/**
 * A log as the files of c2sp.org/tlog-tiles: over HTTP, in a folder, or in a data folder. The content is unverified;
 * readers must check it.
 *
 * An implementation answers undefined for a missing file and throws if it could not find out. It need not check the
 * lengths of files.
 */
export interface LogFiles {
  /** The signed checkpoint, verbatim. */
  checkpoint(): Promise<string>
  /**
   * The hashes of a tile.
   *
   * @param width 1 to 256; where only a wider form of the tile is stored, its first `width` hashes
   */
  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined>
  /**
   * An entry bundle.
   *
   * @param width 1 to 256; where only a wider form of the bundle is stored, its first `width` entries
   */
  bundle(index: number, width: number): Promise<Uint8Array | undefined>
}
