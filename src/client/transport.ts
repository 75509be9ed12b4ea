import { concatBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { LONGEST_TIMER_MS, reasonOf, systemClock, type Clock } from './clock.ts'
import { HIDDEN, problemOf } from './problem.ts'

/** The platform's `fetch`, or one that stands for it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** How requests are sent. */
export interface TransportOptions {
  readonly fetch?: Fetch | undefined
  readonly clock?: Clock | undefined
  /** Longest wait for one answer, its body included, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined
  /**
   * Sent with every request. With `authorization` no redirect is followed: credentials are for the address that they
   * were given for, and for no other. No error quotes them, whatever the server answers.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** One request. */
export interface Ask {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** Largest body of an answer; a longer one is given up while it arrives. */
  readonly maxBytes: number
  /** Statuses that are answers, not failures. Default: 200. */
  readonly expect?: readonly number[]
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
  /** Passes by every cache on the way: an old checkpoint would look like a log that went back. */
  readonly fresh?: boolean
}

/** What came back, whole. Nothing about it has been verified. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

const DEFAULT_TIMEOUT_MS = 30_000
// Of the text that comes with a failure, no more than a message needs.
const MAX_PROBLEM_BYTES = 64 * 1024

/** Sends requests and reads answers, with an end to every wait and a bound on every body. */
export class Transport {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly #fetch: Fetch
  readonly #headers: Readonly<Record<string, string>>
  /** What the server is shown, and nobody else. */
  readonly #secret: string | undefined

  constructor(options: TransportOptions = {}) {
    this.clock = options.clock ?? systemClock
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    // Called as a function of nothing: browsers refuse a fetch that has been made a method of something else.
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init))
    this.#headers = options.headers ?? {}
    this.#secret = secretOf(this.#headers)
  }

  /**
   * Asks once.
   *
   * @throws SteleError `unreachable` if no answer came, or not all of it in time; `unexpected_answer` for a body
   *   above `maxBytes` or a status that has no meaning here; else the code that the log gave as the reason. The
   *   signal's reason once it is aborted
   */
  async ask(url: string, ask: Ask): Promise<Answer> {
    ask.signal?.throwIfAborted()
    const timeoutMs = Math.min(ask.timeoutMs ?? Infinity, this.timeoutMs, LONGEST_TIMER_MS)
    const controller = new AbortController()
    const timer = setTimeout(() => controller.abort(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs)
    const stop = (): void => controller.abort(reasonOf(ask.signal))
    ask.signal?.addEventListener('abort', stop, { once: true })
    try {
      return await this.#exchange(url, ask, controller.signal)
    } catch (error) {
      if (ask.signal?.aborted) throw reasonOf(ask.signal)
      if (error instanceof SteleError) throw error
      const cause = controller.signal.aborted ? reasonOf(controller.signal) : error
      throw withoutSecret(unreachable(url, cause), this.#secret)
    } finally {
      clearTimeout(timer)
      ask.signal?.removeEventListener('abort', stop)
    }
  }

  async #exchange(url: string, ask: Ask, signal: AbortSignal): Promise<Answer> {
    const { method = 'GET', expect = [200] } = ask
    const response = await orAborted(
      signal,
      this.#fetch(url, {
        method,
        headers: { ...this.#headers, ...ask.headers },
        body: ask.body ?? null,
        ...(ask.fresh ? { cache: 'no-store' } : {}),
        ...(this.#secret === undefined ? {} : { redirect: 'manual' }),
        signal,
      }),
    )
    const { status, headers } = response
    const where = `${method} ${url}`
    if (this.#secret !== undefined && isRedirect(response)) throw redirected(where, response)
    if (!expect.includes(status)) {
      const text = new TextDecoder().decode(await readUpTo(response, MAX_PROBLEM_BYTES, signal))
      throw problemOf(where, status, headers, text, this.clock.nowMs(), this.#secret)
    }
    const body = await readUpTo(response, ask.maxBytes + 1, signal)
    if (body.length > ask.maxBytes) {
      throw new SteleError('unexpected_answer', `${where}: expected at most ${ask.maxBytes} bytes, got more`)
    }
    return { status, headers, body }
  }
}

/** At most `limit` bytes of a body; what lies beyond is never asked for. */
async function readUpTo(response: Response, limit: number, signal: AbortSignal): Promise<Uint8Array> {
  const body: ReadableStream<Uint8Array> | null = response.body
  if (!body) return new Uint8Array(0)
  const reader = body.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  try {
    while (length < limit) {
      const { done, value } = await orAborted(signal, reader.read())
      if (done) return concatBytes(...parts)
      parts.push(value)
      length += value.length
    }
  } finally {
    // Frees the connection where bytes are left over; after the end it does nothing. Nobody waits for it, since a
    // server that hangs could hold it up.
    reader.cancel().catch(() => undefined)
  }
  return concatBytes(...parts).subarray(0, limit)
}

/** A `fetch` that does not heed its signal must not keep the caller waiting either. */
function orAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(reasonOf(signal))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

/** The credentials alone, without the name of their scheme. */
function secretOf(headers: Readonly<Record<string, string>>): string | undefined {
  const found = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')
  return found?.[1].split(' ').at(-1)
}

/** A browser tells of a redirect that it does not follow by another type, and hides the rest. */
function isRedirect({ status, type }: Response): boolean {
  return type === 'opaqueredirect' || [301, 302, 303, 307, 308].includes(status)
}

function redirected(where: string, { body }: Response): SteleError {
  body?.cancel().catch(() => undefined)
  return new SteleError(
    'unexpected_answer',
    `${where}: it redirects, and a request with credentials follows no redirect: give the address that it leads to`,
  )
}

/** The platform quotes a header that it refuses to send: that must not end in anybody's log. */
function withoutSecret(error: SteleError, secret: string | undefined): SteleError {
  if (!secret || !error.message.includes(secret)) return error
  return new SteleError(error.code, error.message.replaceAll(secret, HIDDEN))
}

function unreachable(url: string, cause: unknown): SteleError {
  // The platform says "fetch failed" and hides what happened one level deeper.
  const deeper = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const message = deeper instanceof Error ? deeper.message : String(deeper)
  return new SteleError('unreachable', `${url}: ${message}`, { cause })
}
