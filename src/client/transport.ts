import { SteleError } from '../errors.ts'
import { LONGEST_TIMER_MS, reasonOf, systemClock, type Clock } from './clock.ts'
import { HIDDEN, problemOf } from './problem.ts'
import { fetchWire, orAborted, type Fetch, type Outgoing, type Received, type Wire } from './wire.ts'

/** How requests are sent. */
export interface TransportOptions {
  readonly fetch?: Fetch | undefined
  /** Replaces `fetch`, for callers that read so much that the cost of `fetch` matters. */
  readonly wire?: Wire | undefined
  readonly clock?: Clock | undefined
  /** Longest wait for one answer, its body included, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number | undefined
  /**
   * Sent with every request as `Authorization: Bearer`: a key, or a function that gives the one to use now, asked before
   * each request. No request with it follows a redirect, and no error quotes it.
   */
  readonly apiKey?: ApiKey | undefined
  /** Sent with every request. An `authorization` among them is treated as an `apiKey` is. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A key of the log's server, or where to get it. */
export type ApiKey = string | (() => string | Promise<string>)

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
  /** Bypasses every cache on the way: an old checkpoint would look like a rolled back log. */
  readonly fresh?: boolean
}

/** What came back, whole. Nothing about it has been verified. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Uint8Array
}

const DEFAULT_TIMEOUT_MS = 30_000
const MOST_REDIRECTS = 5
// Of the text that comes with a failure, no more than a message needs.
const MAX_PROBLEM_BYTES = 64 * 1024

/**
 * Sends requests and reads answers, with a time limit on every wait and a size limit on every body. Every request of
 * this program to a configured or user-supplied server goes through here, so that redirects are handled in one place.
 * Only a read request without credentials follows redirects, and only within the same scheme, host and port. So a
 * server cannot send this program to an address that only this program can reach, or out of TLS.
 */
export class Transport {
  readonly clock: Clock
  readonly timeoutMs: number
  readonly #wire: Wire
  readonly #headers: Readonly<Record<string, string>>
  readonly #apiKey: ApiKey | undefined

  constructor(options: TransportOptions = {}) {
    this.clock = options.clock ?? systemClock
    this.timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    // Called as a function of nothing: browsers refuse a fetch that has been made a method of something else.
    this.#wire = options.wire ?? fetchWire(options.fetch ?? ((url, init) => fetch(url, init)))
    this.#headers = options.headers ?? {}
    this.#apiKey = options.apiKey
    if (typeof this.#apiKey === 'string') checkApiKey(this.#apiKey)
    if (this.#apiKey !== undefined && secretOf(this.#headers) !== undefined) {
      throw new SteleError('usage', 'expected apiKey or an authorization header, got both')
    }
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
    let secret: string | undefined
    try {
      const headers = { ...this.#headers, ...(await this.#authorization(controller.signal)) }
      secret = secretOf(headers)
      const asked = { ...ask, headers: { ...headers, ...ask.headers } }
      return await this.#exchange(url, asked, secret, controller.signal)
    } catch (error) {
      if (ask.signal?.aborted) throw reasonOf(ask.signal)
      if (error instanceof SteleError) throw error
      const cause = controller.signal.aborted ? reasonOf(controller.signal) : error
      throw withoutSecret(unreachable(url, cause), secret)
    } finally {
      clearTimeout(timer)
      ask.signal?.removeEventListener('abort', stop)
    }
  }

  async #authorization(signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    if (this.#apiKey === undefined) return {}
    const key =
      typeof this.#apiKey === 'string' ? this.#apiKey : await orAborted(signal, askFor(this.#apiKey))
    checkApiKey(key)
    return { authorization: `Bearer ${key}` }
  }

  async #exchange(
    url: string,
    ask: Ask & { readonly headers: Readonly<Record<string, string>> },
    secret: string | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const { method = 'GET', headers: sent, expect = [200], fresh = false, maxBytes } = ask
    const where = `${method} ${url}`
    const request = { method, headers: sent, body: ask.body, fresh, signal }
    // One more byte than is allowed tells a body that is too long from one that just fits.
    const limit = (answered: number): number => (expect.includes(answered) ? maxBytes + 1 : MAX_PROBLEM_BYTES)
    const mayFollow = secret === undefined && method === 'GET'
    const { status, headers, body } = await this.#send(where, url, { ...request, limit }, mayFollow)
    if (!expect.includes(status)) {
      const text = new TextDecoder().decode(body)
      throw problemOf(where, status, headers, text, this.clock.nowMs(), secret)
    }
    if (body.length > maxBytes) {
      throw new SteleError('unexpected_answer', `${where}: expected at most ${maxBytes} bytes, got more`)
    }
    return { status, headers, body }
  }

  async #send(where: string, url: string, request: Outgoing, mayFollow: boolean): Promise<Received> {
    let at = url
    for (let hops = 0; ; hops++) {
      const received = await this.#wire(at, request)
      if (received.redirects === undefined) return received
      if (!mayFollow)
        throw redirected(where, 'and a request that carries credentials or writes follows no redirect')
      // A browser does not reveal the target. It applies its own rules for redirects, and this request carries no
      // secret.
      if (received.redirects === 'hidden') return this.#wire(at, { ...request, follow: true })
      const next = redirectionWithin(at, received.headers.get('location'))
      if (next === undefined) throw redirected(where, 'and not to the same scheme, host and port')
      if (hops === MOST_REDIRECTS) throw redirected(where, `more than ${MOST_REDIRECTS} times`)
      at = next
    }
  }
}

/** Where a redirection leads, if that is on the server that was asked. */
function redirectionWithin(url: string, location: string | null): string | undefined {
  if (location === null || !URL.canParse(location, url)) return undefined
  const next = new URL(location, url)
  return next.origin === new URL(url).origin && next.username === '' ? next.href : undefined
}

async function askFor(apiKey: () => string | Promise<string>): Promise<string> {
  return apiKey()
}

/** Not quoted: it may be a key with a line feed at its end. */
function checkApiKey(key: unknown): asserts key is string {
  if (typeof key === 'string' && /^[\x21-\x7e]+$/.test(key)) return
  throw new SteleError('usage', 'apiKey: expected visible ASCII characters without spaces')
}

/** The credentials alone, without the name of their scheme. */
function secretOf(headers: Readonly<Record<string, string>>): string | undefined {
  const found = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization')
  return found?.[1].split(' ').at(-1)
}

function redirected(where: string, why: string): SteleError {
  return new SteleError(
    'unexpected_answer',
    `${where}: it redirects, ${why}: give the address that it leads to`,
  )
}

/** The platform's error quotes a header that it refuses to send; the secret must not end up in a log. */
function withoutSecret(error: SteleError, secret: string | undefined): SteleError {
  if (!secret || !error.message.includes(secret)) return error
  return new SteleError(error.code, error.message.replaceAll(secret, HIDDEN))
}

function unreachable(url: string, cause: unknown): SteleError {
  // The platform's error is "fetch failed"; its cause has the reason.
  const deeper = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  const message = deeper instanceof Error ? deeper.message : String(deeper)
  return new SteleError('unreachable', `${url}: ${message}`, { cause })
}
