import type { IncomingMessage, ServerResponse } from 'node:http'
import type * as z from 'zod'
import { isEncrypted, NO_CACHE, PLAIN_TEXT, SECURITY_HEADERS, TLS_HEADERS } from './headers.ts'

/** A body that is read piece by piece while it is sent. An error while reading ends the connection. */
export interface Pieces extends AsyncIterable<Uint8Array> {
  /** Total bytes of all pieces. */
  readonly length: number
}

/** The answer of a handler; `send` writes it to the connection. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | Pieces | undefined
  /** Number of entries that the answer is about, for the audit trail. */
  readonly count?: number
  /** New entries that the answer is about, for the audit trail: the first index, and how many. */
  readonly placed?: { readonly index: number; readonly entries: number } | undefined
  /** Closes the connection at once, even while the caller is still sending. */
  readonly hangUp?: boolean
}

/**
 * A JSON answer, never cached unless `headers` says otherwise.
 *
 * @param _schema describes the value in the API's description; the compiler checks the value against it
 */
export function json<S extends z.ZodType>(
  _schema: S,
  value: z.output<S>,
  headers: Readonly<Record<string, string>> = NO_CACHE,
  status = 200,
  placed?: Answer['placed'],
): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(value),
    placed,
  }
}

export function text(
  body: string,
  headers: Readonly<Record<string, string>> = NO_CACHE,
  placed?: Answer['placed'],
): Answer {
  return { status: 200, headers: { 'content-type': PLAIN_TEXT, ...headers }, body, placed }
}

const SECURITY_LIST = Object.entries(SECURITY_HEADERS).flat()
const TLS_LIST = [...SECURITY_LIST, ...Object.entries(TLS_HEADERS).flat()]

/** Node drains an unread body up to this size. With a larger one the connection is closed. */
const DRAINED_BYTES = 256 * 1024
/** How much a caller may still send after a refusal, and for how long. */
const LINGER_BYTES = 4 * 1024 * 1024
const LINGER_MS = 1000

/** A large answer is handed to the kernel one slice at a time. The client must take each slice in time. */
const SLICE_BYTES = 64 * 1024
/** What a body in pieces counts as: one piece, as entries and as the bytes that are sent. No piece is larger. */
export const MOST_BYTES = 2 * 1024 * 1024
/** Answers up to this size are written at once and not counted. A tile is half as large. */
export const SMALL_BYTES = 16 * 1024

/**
 * Writes an answer, unless the caller has disconnected. `HEAD` gets the headers of `GET`.
 *
 * @param onBroken receives the reason when the body could not be read to its end
 */
export function send(
  req: IncomingMessage,
  res: ServerResponse,
  answer: Answer,
  requestId?: string,
  onBroken: (error: unknown) => void = () => {},
): void {
  if (res.headersSent || res.destroyed) return
  const { status, body = '' } = answer
  // A flat list is the form that node:http writes fastest.
  const headers: (string | number)[] = [...(isEncrypted(req.socket) ? TLS_LIST : SECURITY_LIST)]
  if (requestId !== undefined) headers.push('x-request-id', requestId)
  for (const name in answer.headers) headers.push(name, answer.headers[name]!)
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  if (status !== 204 && status !== 304) headers.push('content-length', length)
  const unread = !req.complete && hasLargeBody(req)
  if (unread || answer.hangUp) headers.push('connection', 'close')
  res.writeHead(status, headers as string[])
  if (req.method === 'HEAD') res.end()
  else if (isPieces(body) || length > SMALL_BYTES) {
    const pieces = isPieces(body) ? body : [typeof body === 'string' ? Buffer.from(body) : body]
    pour(res, pieces).catch((error: unknown) => {
      // The caller has disconnected.
      if (res.destroyed) return
      // Cut the connection, so that the caller sees that the body is incomplete.
      res.destroy()
      onBroken(error)
    })
  } else if (unread && !answer.hangUp) linger(req, res, body)
  else res.end(body)
}

/** True for an answer that is written in slices and counted until its caller has taken it. */
export function isLarge({ body = '' }: Answer): boolean {
  return body.length > SMALL_BYTES
}

/** Bytes that an answer holds in memory until it is sent. */
export function heldBytes({ body = '' }: Answer): number {
  if (typeof body === 'string') return Buffer.byteLength(body)
  return isPieces(body) ? Math.min(body.length, MOST_BYTES) : body.length
}

/** True for a body that is read while it is sent. */
export function isPieces(body: string | Uint8Array | Pieces | undefined): body is Pieces {
  return typeof body === 'object' && !(body instanceof Uint8Array)
}

/** Writes slices as fast as the caller takes them. Stops when the caller disconnects. */
async function pour(
  res: ServerResponse,
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; at += SLICE_BYTES) {
      if (!res.write(piece.subarray(at, at + SLICE_BYTES))) await drained(res)
      if (res.destroyed) return
    }
  }
  res.end()
}

function drained(res: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      res.off('drain', end).off('close', end)
      resolve()
    }
    if (res.destroyed) resolve()
    else res.once('drain', end).once('close', end)
  })
}

/** Aborted when the answer is sent or the caller disconnects. Made on demand: most answers need no signal. */
export function overSignal(res: ServerResponse): AbortSignal {
  const over = new AbortController()
  if (res.destroyed) over.abort()
  else res.once('close', () => over.abort())
  return over.signal
}

function hasLargeBody(req: IncomingMessage): boolean {
  if (req.headers['transfer-encoding'] !== undefined) return true
  return Number(req.headers['content-length'] ?? 0) > DRAINED_BYTES
}

/**
 * Writes the answer to a request whose body was not read, discards a bounded part of the body, then closes the
 * connection. Closing a connection with unread bytes makes TCP reset it, and the reset may overtake the answer.
 */
function linger(req: IncomingMessage, res: ServerResponse, body: string | Uint8Array): void {
  let left = LINGER_BYTES
  const finish = (): void => {
    clearTimeout(timer)
    res.end()
  }
  const timer = setTimeout(finish, LINGER_MS)
  res.write(body)
  req.on('data', (chunk: Uint8Array) => {
    left -= chunk.length
    if (left < 0) finish()
  })
  req.once('end', finish)
  res.once('close', finish)
}
