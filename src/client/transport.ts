import { SteleError } from '../errors.ts'
import { LONGEST_TIMER_MS, reasonOf, systemClock, type Clock } from './clock.ts'
import { HIDDEN, problemOf } from './problem.ts'
import { fetchWire, type Fetch, type Wire } from './wire.ts'

/** How requests are sent. */
export interface TransportOptions {
  readonly fetch?: Fetch | undefined
  /** In the place of `fetch`, for whoever reads so much that what `fetch` costs matters. */
  readonly wire?: Wire | undefined
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
  readonly #wire: Wire
  readonly #headers: Readonly<Record<string, string>>
  /** What the server is shown, and nobody else. */
  readonly #secret: string | undefined

  constructor(options: TransportOptions = {}) {
    this.clock = options.clock ?? systemClock
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    // Called as a function of nothing: browsers refuse a fetch that has been made a method of something else.
    this.#wire = options.wire ?? fetchWire(options.fetch ?? ((url, init) => fetch(url, init)))
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
    const { method = 'GET', expect = [200], body: sent, fresh = false, maxBytes } = ask
    const { status, redirects, headers, body } = await this.#wire(url, {
      method,
      headers: { ...this.#headers, ...ask.headers },
      body: sent,
      fresh,
      follow: this.#secret === undefined,
      signal,
      // One more byte than is allowed tells a body that is too long from one that just fits.
      limit: (answered) => (expect.includes(answered) ? maxBytes + 1 : MAX_PROBLEM_BYTES),
    })
    const where = `${method} ${url}`
    if (redirects) throw redirected(where)
    if (!expect.includes(status)) {
      const text = new TextDecoder().decode(body)
      throw problemOf(where, status, headers, text, this.clock.nowMs(), this.#secret)
    }
    if (body.length > maxBytes) {
      throw new SteleError('unexpected_answer', `${where}: expected at most ${maxBytes} bytes, got more`)
    }
    return { status, headers, body }
  }
}

/** The credentials alone, without the name of their scheme. */
function secretOf(headers: Readonly<Record<string, string>>): string | undefined {
  const found = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')
  return found?.[1].split(' ').at(-1)
}

function redirected(where: string): SteleError {
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
