import { SteleError } from '../errors.ts'

/** An answer as it came; both are views that hold during the call they are given to. */
export interface RawAnswer {
  readonly status: number
  readonly body: Buffer
  /** Bytes of head and body. */
  readonly length: number
  /** For 429 and 503. */
  readonly retryAfterSeconds: number | undefined
  /** True if the server closes the connection behind this answer. */
  readonly last: boolean
}

const HEAD_END = Buffer.from('\r\n\r\n')

/**
 * Reads one HTTP/1.1 answer from the beginning of the bytes that have come, as far as a load generator needs it.
 *
 * @returns undefined while it is not complete
 * @throws SteleError `unexpected_answer` for what is no such answer, or has no length
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

/** The members of a JSON object; none for anything else. */
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
