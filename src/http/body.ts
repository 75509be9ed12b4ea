import type { IncomingMessage, ServerResponse } from 'node:http'
import type * as z from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { Quota } from './answer-memory.ts'
import type { Call } from './route.ts'

/** A request with a body, and the limits for that body. */
interface BodyRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** The caller in whose share of the body memory it counts. */
  readonly share: string
  readonly maxBytes: number
  /** Names the body in error messages. */
  readonly what: string
}

/** Reads bodies, each within a size and a time limit, all within one memory budget. */
export class BodyReader {
  readonly #budget: BodyBudget
  readonly #timeoutMs: number
  /** Requests whose sender waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1). */
  readonly #heldBack = new WeakSet<IncomingMessage>()
  /** Requests whose body was followed by bytes that are not HTTP: their Content-Length was wrong. */
  readonly #broken = new WeakSet<IncomingMessage>()

  constructor(limits: { maxBodyBytesInFlight: number; bodyTimeoutMs: number }) {
    this.#budget = new BodyBudget(limits.maxBodyBytesInFlight)
    this.#timeoutMs = limits.bodyTimeoutMs
  }

  /** Bytes of bodies that are being read now. */
  get bytesInFlight(): number {
    return this.#budget.bytes
  }

  /** Notes that the sender waits for `100 Continue`. */
  holdBack(req: IncomingMessage): void {
    this.#heldBack.add(req)
  }

  /** Notes that what followed the body on its connection was not HTTP. */
  breakOff(req: IncomingMessage): void {
    this.#broken.add(req)
  }

  /** Sends `100 Continue` to a sender that waits for it. */
  askFor(req: IncomingMessage, res: ServerResponse): void {
    if (this.#heldBack.delete(req)) res.writeContinue()
  }

  /** Reads a whole body. Throws as `stream` does. */
  async read(request: BodyRequest): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    await this.stream(request, (chunk) => chunks.push(chunk))
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  }

  /**
   * Passes a body to `take`, chunk by chunk. An error of `take` ends the reading.
   *
   * @returns once the whole body has arrived, exactly as long as announced
   * @throws SteleError `unsupported_media_type`, `too_large`, `too_slow`, `overloaded`, `rate_limited`; `malformed` for
   *   a body that was cut off
   */
  stream(request: BodyRequest, take: (chunk: Uint8Array) => void): Promise<void> {
    const { req, res, share, maxBytes, what } = request
    // A single promise whose executor may throw: every submitted entry passes here.
    return new Promise((resolve, reject) => {
      checkAnnounced(request)
      this.askFor(req, res)
      let bytes = 0
      const settle = (error?: unknown): void => {
        clearTimeout(timer)
        req.off('data', onData).off('end', onEnd).off('close', onClose)
        this.#budget.release(share, bytes)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onData = (chunk: Uint8Array): void => {
        try {
          if (bytes + chunk.length > maxBytes) throw tooLarge(what, maxBytes, 'more')
          this.#budget.take(share, chunk.length)
          bytes += chunk.length
          take(chunk)
        } catch (error) {
          settle(error)
        }
      }
      const onClose = (): void => settle(new SteleError('malformed', `${what}: cut off before its end`))
      const onEnd = (): void => (this.#broken.has(req) ? onClose() : settle())
      const onTimeout = (): void =>
        settle(new SteleError('too_slow', `${what}: expected all of it within ${this.#timeoutMs} ms`))
      const timer = setTimeout(onTimeout, this.#timeoutMs)
      // A broken connection emits 'error', then 'close'. Without a listener the 'error' would end the process.
      req.on('error', () => {})
      req.on('data', onData).on('end', onEnd).on('close', onClose)
    })
  }
}

/** Refuses a body by the headers of its request. */
function checkAnnounced({ req, maxBytes, what }: BodyRequest): void {
  checkUncompressed(req, what)
  const announced = Number(req.headers['content-length'] ?? 0)
  if (announced > maxBytes) throw tooLarge(what, maxBytes, `${announced} announced`)
}

function checkUncompressed(req: IncomingMessage, what: string): void {
  const encoding = req.headers['content-encoding']
  if (encoding === undefined || encoding === 'identity') return
  throw new SteleError(
    'unsupported_media_type',
    `${what}: expected no Content-Encoding, got ${excerpt(encoding)}`,
  )
}

function tooLarge(what: string, maxBytes: number, came: string): SteleError {
  return new SteleError('too_large', `${what}: expected at most ${maxBytes} bytes, got ${came}`)
}

/** The share of the budget that one caller may hold. Past it the answer is 429, and other callers still get in. */
const CALLER_SHARE = 0.5

/** Short, because bodies are read within seconds. */
const RETRY_AFTER_SECONDS = 2

/** Bounds the bytes of all bodies that are being read. Owner of that count, in total and by caller. */
export class BodyBudget {
  readonly #bodies: Quota

  constructor(maxBytes: number) {
    this.#bodies = new Quota(maxBytes, maxBytes * CALLER_SHARE)
  }

  /** Bytes that are held now. */
  get bytes(): number {
    return this.#bodies.held
  }

  /**
   * Counts bytes that have arrived.
   *
   * @throws SteleError `overloaded`, `rate_limited`; nothing was counted then
   */
  take(caller: string, bytes: number): void {
    switch (this.#bodies.take(caller, bytes)) {
      case 'full':
        throw refusal('overloaded', `bodies of ${this.bytes} bytes are already being read`)
      case 'share':
        throw refusal('rate_limited', 'your requests already use half of the memory for bodies')
      case 'taken':
    }
  }

  /** Gives back bytes that were counted. */
  release(caller: string, bytes: number): void {
    this.#bodies.release(caller, bytes)
  }
}

function refusal(code: 'overloaded' | 'rate_limited', message: string): SteleError {
  return new SteleError(code, `body: ${message}; nothing was logged`, {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
  })
}

/**
 * Reads a small JSON body. An empty body means `{}`, so that a `POST` without options needs none.
 *
 * @throws SteleError `malformed`, naming the field; as `read` does
 */
export async function readJson<S extends z.ZodType>(
  bodies: BodyReader,
  { req, res, caller: { share } }: Call<unknown, unknown>,
  schema: S,
  maxBytes = 16 * 1024,
): Promise<z.output<S>> {
  const bytes = await bodies.read({ req, res, share, maxBytes, what: 'body' })
  const parsed = schema.safeParse(valueOf(bytes))
  if (parsed.success) return parsed.data
  throw new SteleError('malformed', `body: ${faultOf(parsed.error)}`)
}

/**
 * Describes what is wrong with a value. Unknown field names are not repeated: like values, they are the caller's text.
 */
function faultOf({ issues: [issue] }: z.ZodError): string {
  const where = issue!.path.length === 0 ? '' : `${issue!.path.join('.')}: `
  if (issue!.code !== 'unrecognized_keys') return `${where}${issue!.message}`
  return `${where}expected no fields but those that /docs lists, got ${issue.keys.length} more`
}

function valueOf(bytes: Uint8Array): unknown {
  if (bytes.length === 0) return {}
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    // The parser's message quotes the body, which may hold a secret, and this answer is also logged.
    const at = / at position [0-9]+/.exec((error as Error).message)?.[0] ?? ''
    throw new SteleError('malformed', `body: expected JSON in UTF-8, and it is none${at}`)
  }
}
