import type { IncomingMessage } from 'node:http'
import { constants, createGunzip, type Gunzip } from 'node:zlib'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { CutShort } from './packages.ts'

/** The lowest rate of a sender, after the time that every sender gets. Slower ones are disconnected. */
const LEAST_BYTES_PER_MS = 16
/** What is inflated at a time: however much a body would become, no more of it is made than is asked for. */
const INFLATED_BYTES = 64 * 1024

type Chunks = AsyncIterator<Uint8Array, undefined>

/**
 * The body of an upload as it arrives, inflated if it was compressed. It is pulled: bytes are read from the network
 * only on demand. Owner of the time spent waiting for the sender.
 */
export class UploadBody {
  readonly #req: IncomingMessage
  readonly #gunzip: Gunzip | undefined
  readonly #chunks: Chunks
  readonly #graceMs: number
  readonly #bytesBefore: number
  #waitedMs = 0

  /**
   * @param graceMs how long a sender may keep us waiting, beside the time that its bytes take
   * @throws SteleError `unsupported_media_type`
   */
  constructor(req: IncomingMessage, graceMs: number) {
    this.#req = req
    this.#graceMs = graceMs
    this.#bytesBefore = req.socket.bytesRead
    this.#gunzip = isGzip(req) ? inflating(req) : undefined
    // A connection that breaks says 'error', then 'close'; unheard, the first would end the process.
    req.on('error', () => {})
    // The stream must outlive the reading, for its connection takes the answer.
    this.#chunks = (this.#gunzip ?? req).iterator({ destroyOnReturn: false }) as Chunks
  }

  /**
   * The next bytes; undefined at the end.
   *
   * @throws SteleError `too_slow`; {@link CutShort} when the connection broke, or what came was no gzip
   */
  readonly next = async (): Promise<Uint8Array | undefined> => {
    const startedMs = performance.now()
    const sentMs = (this.#req.socket.bytesRead - this.#bytesBefore) / LEAST_BYTES_PER_MS
    const leftMs = Math.max(1, this.#graceMs + sentMs - this.#waitedMs)
    try {
      const { value } = await withinMs(leftMs, this.#chunks.next())
      return value
    } catch (cause) {
      if (cause instanceof SteleError) throw cause
      throw new CutShort('a broken stream', { cause })
    } finally {
      this.#waitedMs += performance.now() - startedMs
    }
  }

  /** Stops reading. The sender of the answer drains the rest, or closes the connection. */
  close(): void {
    void this.#chunks.return?.().catch(() => undefined)
    if (this.#gunzip) {
      this.#req.unpipe(this.#gunzip)
      this.#gunzip.destroy()
    }
    if (!this.#req.complete) this.#req.resume()
  }
}

function isGzip({ headers }: IncomingMessage): boolean {
  const encoding = headers['content-encoding'] ?? 'identity'
  if (encoding === 'gzip') return true
  if (encoding === 'identity') return false
  throw new SteleError(
    'unsupported_media_type',
    `body: expected Content-Encoding gzip or none, got ${excerpt(encoding)}`,
  )
}

function inflating(req: IncomingMessage): Gunzip {
  // A stream that is cut gives all that came of it, as one that is not compressed does.
  const gunzip = createGunzip({ chunkSize: INFLATED_BYTES, finishFlush: constants.Z_SYNC_FLUSH })
  gunzip.on('error', () => {})
  req.once('close', () => {
    if (!req.complete) gunzip.destroy(new Error('the connection broke'))
  })
  return req.pipe(gunzip)
}

/** @throws SteleError `too_slow` */
async function withinMs<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new SteleError('too_slow', 'body: it comes slower than allowed')
    timer = setTimeout(() => reject(error), ms)
  })
  promise.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
