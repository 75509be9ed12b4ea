import type { IncomingMessage, ServerResponse } from 'node:http'
import type * as z from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { Quota } from './answer-memory.ts'
import type { Call } from './route.ts'

/** One request with a body, and how much of it is welcome. */
interface BodyRequest {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** Whose share of the memory for bodies it takes. */
  readonly share: string
  readonly maxBytes: number
  /** Names the body in error messages. */
  readonly what: string
}

/** Reads bodies, each within a number of bytes and a time, all of them within one budget. */
export class BodyReader {
  readonly #budget: BodyBudget
  readonly #timeoutMs: number
  /** Requests whose sender holds the body back until it is asked for (RFC 9110 section 10.1.1). */
  readonly #heldBack = new WeakSet<IncomingMessage>()
  /** Requests behind whose body came something that is no request: their announced length was wrong. */
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

  /** Tells a sender who waits for it that the body may come. */
  askFor(req: IncomingMessage, res: ServerResponse): void {
    if (this.#heldBack.delete(req)) res.writeContinue()
  }

  /** A whole body. Throws as `stream` does. */
  async read(request: BodyRequest): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    await this.stream(request, (chunk) => chunks.push(chunk))
    return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)
  }

  /**
   * Hands over a body piece by piece. What `take` throws ends the reading.
   *
   * @returns once the body has come whole, exactly as long as announced
   * @throws SteleError `unsupported_media_type`, `too_large`, `too_slow`, `overloaded`, `rate_limited`;
   *   `malformed` for one that was cut off
   */
  stream(request: BodyRequest, take: (chunk: Uint8Array) => void): Promise<void> {
    const { req, res, share, maxBytes, what } = request
    // One promise for all of it, whose executor may throw: this is on the way of every entry.
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
      // A connection that breaks says 'error', then 'close'; unheard, the first would end the process.
      req.on('error', () => {})
      req.on('data', onData).on('end', onEnd).on('close', onClose)
    })
  }
}

/** Refuses what its head shows to be unwelcome. */
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

/** A caller may hold this share: past it the answer is 429, and others still get in. */
const CALLER_SHARE = 0.5

/** A moment: bodies are read within seconds. */
const RETRY_AFTER_SECONDS = 2

/** The bytes of all bodies that are being read. Owner of that count, whole and by caller. */
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
   * @throws SteleError `overloaded`, `rate_limited`, and then nothing was counted
   */
  take(caller: string, bytes: number): void {
    switch (this.#bodies.take(caller, bytes)) {
      case 'full':
        throw refusal('overloaded', `bodies of ${this.bytes} bytes are being read already`)
      case 'share':
        throw refusal('rate_limited', 'half of the room for bodies is yours already')
      case 'taken':
    }
  }

  /** Gives back what was taken. */
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
 * Reads a small JSON body. An empty one stands for `{}`, so that a `POST` without options needs no body.
 *
 * @throws SteleError `malformed`, naming the field; whatever reading a body throws
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

/** What is wrong with a value. Names of fields that nobody asked for are the caller's own words, as values are. */
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
    // Its message quotes the body, which may hold a secret, and what is answered here is also logged.
    const at = / at position [0-9]+/.exec((error as Error).message)?.[0] ?? ''
    throw new SteleError('malformed', `body: expected JSON in UTF-8, and it is none${at}`)
  }
}
