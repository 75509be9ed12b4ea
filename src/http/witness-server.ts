import { createServer, STATUS_CODES, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { App } from './app.ts'
import { SECURITY_HEADERS } from './headers.ts'
import { createWitnessApp } from './witness-app.ts'
import type { WitnessHttpDeps } from './witness-deps.ts'

/** Longer than the idle timeout of common load balancers, so that it is they who close idle connections. */
const KEEP_ALIVE_MS = 65_000
/** How often Node looks for connections past their time. */
const CHECK_MS = 1000
const MAX_HEADER_BYTES = 16 * 1024

/** An HTTP server for a witness, not listening yet. Connections are bounded in number, and requests in time. */
export function createWitnessServer(deps: WitnessHttpDeps): Server {
  const { headersTimeoutMs, bodyTimeoutMs, maxConnections } = deps.limits
  const server = createServer({
    headersTimeout: headersTimeoutMs,
    // A backstop behind the body reader, which answers in our own words.
    requestTimeout: headersTimeoutMs + bodyTimeoutMs + 2 * CHECK_MS,
    connectionsCheckingInterval: CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
  server.maxConnections = maxConnections
  connect(server, createWitnessApp(deps))
  return server
}

/** Requests go to the app; what is none gets an answer too, unless another one has begun on its connection. */
function connect(server: Server, { handler, breakOff }: Pick<App, 'handler' | 'breakOff'>): void {
  const current = new WeakMap<Socket, ServerResponse>()
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
      socket.write(refusalOf(error.code))
    socket.destroySoon()
  })
}

function refusalOf(nodeCode: string | undefined): string {
  const status =
    nodeCode === 'HPE_HEADER_OVERFLOW' ? 431 : nodeCode === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const headers = { 'content-length': 0, connection: 'close', ...SECURITY_HEADERS }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status]!}`, ...lines, '', ''].join('\r\n')
}
