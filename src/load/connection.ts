import { connect, type Socket } from 'node:net'
import { hasCode, SteleError } from '../errors.ts'
import type { Meter } from './load.ts'

/** The requests that one connection sends, and the check of their responses. */
export interface Exchange {
  /** The next request, complete. The bytes must not change until the response has arrived. */
  request(): Uint8Array
  /**
   * Checks a response. Responses of status 429 and 503 are counted as refusals and not passed here.
   *
   * @returns what is wrong with the response, or undefined
   */
  check(answer: RawAnswer): string | undefined
}

const LONGEST_REFUSAL_MS = 5000
const RECONNECT_AFTER_MS = 50
const CLOSED = 'the server closed the connection'

/**
 * One keep-alive connection over a plain socket, with at most one request in flight. `fetch` and `node:http` would use
 * more processor time than the server under test. Owns its socket.
 */
export class LoadConnection {
  readonly #target: { readonly host: string; readonly port: number }
  readonly #exchange: Exchange
  readonly #meter: Meter
  /** Called when the connection can take another request. */
  readonly #onIdle: (connection: LoadConnection) => void
  #socket: Socket | undefined
  #pending: Buffer | undefined
  /** When the request in flight was due; undefined while there is none. */
  #dueMs: number | undefined
  #stopped = false
  #onStopped: (() => void) | undefined

  constructor(
    target: { readonly host: string; readonly port: number },
    exchange: Exchange,
    meter: Meter,
    onIdle: (connection: LoadConnection) => void,
  ) {
    this.#target = target
    this.#exchange = exchange
    this.#meter = meter
    this.#onIdle = onIdle
  }

  /** True while the connection is open and has no request in flight. */
  get ready(): boolean {
    return this.#socket?.readyState === 'open' && this.#dueMs === undefined
  }

  start(): void {
    const socket = connect(this.#target)
    socket.setNoDelay(true)
    socket.once('connect', () => this.#idle())
    socket.on('data', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', (error) => this.#lost(error.message))
    socket.on('close', () => this.#lost(CLOSED))
    this.#socket = socket
  }

  /** @param dueMs when this request was due; the time that it waited for a free connection counts */
  send(dueMs: number): void {
    this.#dueMs = dueMs
    this.#socket!.write(this.#exchange.request())
  }

  /** Resolves when the response to the request in flight has arrived, or the request was given up. */
  stop(patienceMs: number): Promise<void> {
    this.#stopped = true
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        if (this.#dueMs !== undefined) this.#meter.fail('no answer before the end')
        this.#dueMs = undefined
        this.#onStopped?.()
      }, patienceMs)
      this.#onStopped = () => {
        clearTimeout(timer)
        this.#socket?.destroy()
        resolve()
      }
      if (this.#dueMs === undefined) this.#onStopped()
    })
  }

  #receive(bytes: Buffer): void {
    // Most responses arrive in one piece; then nothing is copied.
    const all = this.#pending ? Buffer.concat([this.#pending, bytes]) : bytes
    let answer: RawAnswer | undefined
    try {
      answer = parseAnswer(all)
    } catch (error) {
      if (!hasCode(error, 'unexpected_answer')) throw error
      return this.#lost(error.message)
    }
    this.#pending = answer ? undefined : all
    if (answer) this.#answered(answer, all.length)
  }

  #answered(answer: RawAnswer, received: number): void {
    if (this.#dueMs === undefined || received > answer.length)
      return this.#lost('more than one answer to a request')
    const tookMs = performance.now() - this.#dueMs
    this.#dueMs = undefined
    const { retryAfterSeconds } = answer
    if (retryAfterSeconds === undefined) this.#meter.record(tookMs, this.#exchange.check(answer))
    else this.#meter.refused++
    // The response arrived before the request was sent completely. The rest of that request must not mix with the next
    // one.
    if (answer.last || this.#socket!.writableLength > 0) return this.#reconnect()
    if (retryAfterSeconds === undefined || this.#stopped) this.#idle()
    else this.#idleAfter(Math.min(LONGEST_REFUSAL_MS, retryAfterSeconds * 1000))
  }

  #idleAfter(ms: number): void {
    const socket = this.#socket
    // A connection that closed meanwhile becomes idle when it is connected again.
    setTimeout(() => this.#socket === socket && this.#idle(), ms)
  }

  #idle(): void {
    if (this.#stopped) this.#onStopped?.()
    else this.#onIdle(this)
  }

  #lost(reason: string): void {
    // A server may close an idle connection, so that is not a failure.
    const harmless = this.#dueMs === undefined && (this.#stopped || reason === CLOSED)
    if (!harmless) this.#meter.fail(reason)
    this.#dueMs = undefined
    this.#reconnect()
  }

  #reconnect(): void {
    this.#socket?.removeAllListeners()
    this.#socket?.on('error', () => {})
    this.#socket?.destroy()
    this.#socket = undefined
    this.#pending = undefined
    if (this.#stopped) this.#onStopped?.()
    else setTimeout(() => this.#stopped || this.start(), RECONNECT_AFTER_MS)
  }
}

/** A response as received. Both views are valid only during the call that receives them. */
export interface RawAnswer {
  readonly status: number
  readonly body: Buffer
  /** Length of head and body in bytes. */
  readonly length: number
  /** For 429 and 503 only. */
  readonly retryAfterSeconds: number | undefined
  /** True if the server closes the connection after this response. */
  readonly last: boolean
}

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Parses one HTTP/1.1 response at the start of the received bytes, as far as a load generator needs it.
 *
 * @returns undefined while the response is incomplete
 * @throws SteleError `unexpected_answer` for bytes that are not an HTTP/1.1 response, or a response without a length
 */
export function parseAnswer(bytes: Buffer): RawAnswer | undefined {
  const headEnd = bytes.indexOf(HEAD_END)
  if (headEnd < 0) return undefined
  const head = bytes.toString('latin1', 0, headEnd)
  const status = Number(head.slice(9, 12))
  if (!head.startsWith('HTTP/1.1 ') || !(status >= 200)) throw unexpected(`"${head.slice(0, 40)}"`)
  const bodyAt = headEnd + HEAD_END.length
  const length = bodyAt + bodyLength(head, status)
  if (bytes.length < length) return undefined
  const refused = status === 429 || status === 503
  return {
    status,
    body: bytes.subarray(bodyAt, length),
    length,
    retryAfterSeconds: refused ? Number(/\r\nretry-after: *(\d{1,6})/i.exec(head)?.[1] ?? 1) : undefined,
    last: /\r\nconnection: *close/i.test(head),
  }
}

/** The members of a JSON object; an empty record for any other value. */
export function jsonOf(body: Buffer): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(body.toString('latin1'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function bodyLength(head: string, status: number): number {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) return Number(length)
  if (status === 204 || status === 304) return 0
  throw unexpected('an answer without Content-Length')
}

function unexpected(got: string): SteleError {
  return new SteleError('unexpected_answer', `load: expected an HTTP/1.1 answer with a length, got ${got}`)
}
