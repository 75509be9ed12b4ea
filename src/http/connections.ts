import { createServer, STATUS_CODES, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { App } from './app.ts'
import { isEncrypted, SECURITY_HEADERS, TLS_HEADERS } from './headers.ts'
import { createTlsServer, type Certificate } from './tls-server.ts'

/** Longer than the idle timeout of common load balancers, so that it is they who close idle connections. */
const KEEP_ALIVE_MS = 65_000
/** How often Node looks for connections past their time. */
const CHECK_MS = 1000
/** A checkpoint's long poll is a GET of a few hundred bytes; nothing needs more. */
const MAX_HEADER_BYTES = 16 * 1024

/** How long a connection may take over a request, and how many there may be. */
export interface ConnectionLimits {
  /** From the first byte of a request to the end of its head. */
  readonly headersTimeoutMs: number
  /** From the end of a request's head to the end of its body. */
  readonly bodyTimeoutMs: number
  /** Connections at once; one more is closed unanswered. */
  readonly maxConnections: number
}

/**
 * An HTTP server in front of an app, not listening yet. Connections are bounded in number, and requests in time. What is
 * no HTTP gets an answer too, unless another one has begun on its connection.
 *
 * @param tls with it the server speaks TLS
 */
export function createBoundedServer(
  { headersTimeoutMs, bodyTimeoutMs, maxConnections }: ConnectionLimits,
  { handler, breakOff }: Pick<App, 'handler' | 'breakOff'>,
  tls?: Certificate,
): Server {
  /** What each connection was last asked for: an answer that has begun must not be written into. */
  const current = new WeakMap<Socket, ServerResponse>()
  const options: ServerOptions = {
    headersTimeout: headersTimeoutMs,
    // A backstop behind the body reader, which answers in our own words.
    requestTimeout: headersTimeoutMs + bodyTimeoutMs + 2 * CHECK_MS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  // A handshake is what comes before the head of the first request, and gets as long as that.
  const server = tls ? createTlsServer(tls, options, headersTimeoutMs) : createServer(options)
  server.maxConnections = maxConnections
  server.on('request', (req, res) => {
    current.set(req.socket, res)
    handler(req, res)
  })
  server.on('checkContinue', (req, res) => {
    current.set(req.socket, res)
    handler(req, res, true)
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const answer = current.get(socket)
    if (answer) breakOff(answer.req)
    if (socket.writable && (!answer?.headersSent || answer.writableFinished))
      socket.write(refusalOf(error.code, isEncrypted(socket)))
    socket.destroySoon()
  })
  return server
}

/** What Node could not read as HTTP never becomes a request, and still gets an answer with a code. */
function refusalOf(nodeCode: string | undefined, encrypted: boolean): string {
  const [status, code, detail] = PARSE_ERRORS[nodeCode ?? ''] ?? NOT_HTTP
  const title = STATUS_CODES[status]!
  const body = JSON.stringify({ type: 'about:blank', title, status, detail, code })
  const headers = {
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    connection: 'close',
    ...SECURITY_HEADERS,
    ...(encrypted ? TLS_HEADERS : {}),
  }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${title}`, ...lines, '', body].join('\r\n')
}

const NOT_HTTP = [
  400,
  'malformed',
  'request: expected HTTP/1.1, and a body exactly as long as announced',
] as const
const PARSE_ERRORS: Readonly<Record<string, readonly [status: number, code: string, detail: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'too_large', `request: expected a head of at most ${MAX_HEADER_BYTES} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'too_slow', 'request: it came slower than allowed'],
}
