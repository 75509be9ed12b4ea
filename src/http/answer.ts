import type { IncomingMessage, ServerResponse } from 'node:http'
import type * as z from 'zod'
import { isEncrypted, NO_CACHE, PLAIN_TEXT, SECURITY_HEADERS, TLS_HEADERS } from './headers.ts'

/** What a handler says; `send` puts it on the wire. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | undefined
  /** How many entries it speaks of, for the trail. */
  readonly count?: number
  /** New entries that it speaks of, for the trail: the index of the first, and how many. */
  readonly placed?: { readonly index: number; readonly entries: number } | undefined
  /** Ends the connection at once, whatever the caller is still sending. */
  readonly hangUp?: boolean
}

/**
 * A JSON answer, never cached unless `headers` says otherwise.
 *
 * @param _schema describes the value, and is what the API's description shows: the compiler holds them together
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

/** A text answer. */
export function text(
  body: string,
  headers: Readonly<Record<string, string>> = NO_CACHE,
  placed?: Answer['placed'],
): Answer {
  return { status: 200, headers: { 'content-type': PLAIN_TEXT, ...headers }, body, placed }
}

const SECURITY_LIST = Object.entries(SECURITY_HEADERS).flat()
const TLS_LIST = [...SECURITY_LIST, ...Object.entries(TLS_HEADERS).flat()]

/** A body this small that nobody reads is drained by Node; for more, the connection is given up. */
const DRAINED_BYTES = 256 * 1024
/** How much and how long a caller may go on sending after a refusal. */
const LINGER_BYTES = 4 * 1024 * 1024
const LINGER_MS = 1000

/** Writes an answer, unless the caller is gone. `HEAD` gets the headers of `GET`. */
export function send(req: IncomingMessage, res: ServerResponse, answer: Answer, requestId?: string): void {
  if (res.headersSent || res.destroyed) return
  const { status, body = '' } = answer
  // A flat list is what node:http is quickest to write.
  const headers: (string | number)[] = [...(isEncrypted(req.socket) ? TLS_LIST : SECURITY_LIST)]
  if (requestId !== undefined) headers.push('x-request-id', requestId)
  for (const name in answer.headers) headers.push(name, answer.headers[name]!)
  if (status !== 204 && status !== 304) {
    headers.push('content-length', typeof body === 'string' ? Buffer.byteLength(body) : body.length)
  }
  const unread = !req.complete && isLarge(req)
  if (unread || answer.hangUp) headers.push('connection', 'close')
  res.writeHead(status, headers as string[])
  if (unread && !answer.hangUp) linger(req, res, body)
  else res.end(req.method === 'HEAD' ? undefined : body)
}

function isLarge(req: IncomingMessage): boolean {
  if (req.headers['transfer-encoding'] !== undefined) return true
  return Number(req.headers['content-length'] ?? 0) > DRAINED_BYTES
}

/**
 * Closing a connection with unread bytes on it makes TCP reset it, and the reset may overtake the answer. So the
 * answer is written, some more of the body is thrown away, and then the connection is closed.
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
