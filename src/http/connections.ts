import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import type { Socket } from 'node:net'
import { isLoopback, withoutMapping, type AddressSet } from '../access/address.ts'
import { SteleError } from '../errors.ts'
import { AnswerMemory, Quota } from './answer-memory.ts'
import { send } from './answer.ts'
import type { App } from './app.ts'
import { problemAnswer } from './errors.ts'
import { isEncrypted, SECURITY_HEADERS, TLS_HEADERS } from './headers.ts'
import { networkOf } from './rates.ts'
import { createTlsServer, type Certificate } from './tls-server.ts'

/** Longer than the idle timeout of common load balancers, so that the load balancer closes idle connections first. */
const KEEP_ALIVE_MS = 65_000
/** How often connections are checked against their time limits. */
const CHECK_MS = 1000
/** The largest legitimate request head, a checkpoint long poll, has a few hundred bytes. */
const MAX_HEADER_BYTES = 16 * 1024
/**
 * Requests that may wait behind the one that is being answered. Node parses everything that one read of a socket
 * brought, up to 64 KiB, before reading can be paused. A connection that sends more requests than this at once is
 * closed.
 */
const MAX_WAITING = 64
/** Connections reserved for probes and for this machine: this many, and at most a tenth of all. */
const MOST_RESERVED = 64
/** The default share of connections and of long polls that one network may have. */
const CONNECTION_SHARE = 1 / 4
const LONG_POLL_SHARE = 1 / 8
/** Long polls may take half of the connections. The other half is for short requests. */
const LONG_POLLS = 1 / 2
/** The probe paths of load balancers and orchestrators. */
const PROBES: readonly string[] = ['/healthz', '/servez', '/readyz']

/** Time limits of a connection for a request and its answer, and how many connections there may be. */
export interface ConnectionLimits {
  /** From the first byte of a request to the end of its head. */
  readonly headersTimeoutMs: number
  /** From the end of a request's head to the end of its body. */
  readonly bodyTimeoutMs: number
  /** When the client takes nothing more of an answer for this long, its connection is closed. */
  readonly answerTimeoutMs: number
  /** Bytes of large answers in memory, over all connections. One network gets a quarter. */
  readonly maxAnswerBytesInFlight: number
  /** Connections at once. Further ones are closed without an answer. */
  readonly maxConnections: number
  /** Connections of one network (an IPv4 address, an IPv6 /64); 0: a quarter of `maxConnections`. */
  readonly maxConnectionsPerAddress: number
  /** Long polls at once; 0: half of `maxConnections`. */
  readonly maxLongPolls?: number
  /** Long polls of one network; 0: an eighth of `maxConnections`. */
  readonly maxLongPollsPerAddress?: number
}

/** Why a connection or a request was not served, or not completely. */
export const REFUSALS = ['full', 'address', 'reserved', 'pipelined', 'slow_reader', 'long_polls'] as const
export type Refusal = (typeof REFUSALS)[number]

/** A parsed request that waits for those before it on its connection. */
interface Waiting {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly heldBack: boolean
}

/** The state of one connection. */
class Connection {
  readonly raw: Socket
  readonly network: string
  /** True for a connection out of the reserve: it may only ask for probes. */
  probesOnly = false
  /** The answer that was begun last. */
  current: ServerResponse | undefined
  readonly waiting: Waiting[] = []
  /** Bytes that the kernel had taken at the last check, and for how long that number has not grown. */
  takenBytes = 0
  stalledMs = 0

  constructor(raw: Socket, network: string) {
    this.raw = raw
    this.network = network
  }

  /** True while a request is being answered. */
  get isBusy(): boolean {
    return this.current !== undefined && !this.current.closed
  }
}

/** Which connections are exempt from the limits by address. */
export interface ConnectionRules {
  /** Their connections are not limited by address, because each carries requests of many callers. */
  readonly trustedProxies?: AddressSet | undefined
  /** True for an address of this machine. */
  readonly isLocal?: (address: string) => boolean
}

/**
 * Bounds the connections of one server: their number in total and by network, one request at a time on each, long
 * polls, and the memory of answers until callers have taken them. Owner of the connections.
 */
export class Connections {
  readonly answers: AnswerMemory
  /** By network. */
  readonly longPolls: Quota
  /** How often each refusal happened. */
  readonly refused: Record<Refusal, number>
  readonly #limits: ConnectionLimits
  readonly #rules: Required<ConnectionRules>
  /** By the socket whose requests Node parses: the TCP socket, or the TLS socket on top of it. */
  readonly #bySocket = new Map<Socket, Connection>()
  readonly #byNetwork = new Map<string, Set<Connection>>()
  #open = 0

  constructor(limits: ConnectionLimits, { trustedProxies, isLocal = isLoopback }: ConnectionRules = {}) {
    const { maxConnections, maxLongPolls, maxLongPollsPerAddress, maxAnswerBytesInFlight } = limits
    this.#limits = limits
    this.#rules = { trustedProxies, isLocal }
    this.answers = new AnswerMemory(maxAnswerBytesInFlight)
    this.longPolls = new Quota(
      maxLongPolls || shareOf(maxConnections, LONG_POLLS),
      maxLongPollsPerAddress || shareOf(maxConnections, LONG_POLL_SHARE),
    )
    this.refused = Object.fromEntries(REFUSALS.map((refusal) => [refusal, 0])) as Record<Refusal, number>
  }

  /** Open connections. */
  get open(): number {
    return this.#open
  }

  /**
   * Counts a long poll.
   *
   * @returns a function to call when the long poll is over
   * @throws SteleError `overloaded` when there are too many, in total or of this network
   */
  waitFor(network: string): () => void {
    const taken = this.longPolls.take(network, 1)
    if (taken === 'taken') return () => this.longPolls.release(network, 1)
    this.refused.long_polls++
    const who = taken === 'full' ? 'in all' : 'of your network'
    throw new SteleError('overloaded', `long polls: as many as may wait ${who} do; ask without "after"`)
  }

  /**
   * An HTTP server in front of an app, not listening yet. Bytes that are not HTTP get an answer too, unless another
   * answer has begun on their connection. `maxConnections` of the server may be changed while it runs.
   *
   * @param tls if given, the server speaks TLS
   */
  createServer(app: Pick<App, 'handler' | 'breakOff'>, tls?: Certificate): Server {
    const { headersTimeoutMs, bodyTimeoutMs, maxConnections } = this.#limits
    const options: ServerOptions = {
      headersTimeout: headersTimeoutMs,
      // A backstop behind the body reader, which answers with our own error.
      requestTimeout: headersTimeoutMs + bodyTimeoutMs + 2 * CHECK_MS,
      connectionsCheckingInterval: CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
      // A request without Host is refused below, with our own error.
      requireHostHeader: false,
    }
    // A TLS handshake precedes the head of the first request, and gets as much time.
    const server = tls ? createTlsServer(tls, options, headersTimeoutMs) : createServer(options)
    server.maxConnections = maxConnections
    server.on('drop', () => this.refused.full++)
    this.#watchSockets(server, tls !== undefined)
    server.on('request', (req, res) => this.#receive(app, { req, res, heldBack: false }))
    server.on('checkContinue', (req, res) => this.#receive(app, { req, res, heldBack: true }))
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      const connection = this.#bySocket.get(socket)
      const answer = connection?.waiting.at(-1)?.res ?? connection?.current
      if (answer) app.breakOff(answer.req)
      if (socket.writable && (!answer?.headersSent || answer.writableFinished))
        socket.write(refusalOf(error.code, isEncrypted(socket)))
      socket.destroySoon()
    })
    const check = setInterval(() => this.#cutSlowReaders(), CHECK_MS).unref()
    server.once('close', () => clearInterval(check))
    return server
  }

  #watchSockets(server: Server, isTls: boolean): void {
    // TCP connections whose TLS connection is not established yet, by their four numbers: both addresses and ports.
    const handshakes = new Map<string, Connection>()
    server.prependListener('connection', (raw: Socket) => {
      const address = withoutMapping(raw.remoteAddress ?? '')
      const connection = new Connection(raw, networkOf(address))
      if (!this.#admit(connection, address, server.maxConnections)) return
      if (!isTls) return this.#watch(raw, connection)
      const ends = endsOf(raw)
      handshakes.set(ends, connection)
      raw.once('close', () => handshakes.delete(ends))
    })
    if (!isTls) return
    server.prependListener('secureConnection', (socket: Socket) => {
      const connection = handshakes.get(endsOf(socket))
      if (connection) this.#watch(socket, connection)
    })
  }

  #watch(socket: Socket, connection: Connection): void {
    this.#bySocket.set(socket, connection)
    // Node resumes a socket by itself, for example when it drains.
    socket.on('resume', () => connection.waiting.length > 0 && socket.pause())
    socket.once('close', () => {
      this.#bySocket.delete(socket)
      connection.waiting.length = 0
    })
  }

  /** Counts a connection, or closes it. When few are left, closes an idle one of the network that has the most. */
  #admit(connection: Connection, address: string, most: number): boolean {
    const { raw, network } = connection
    const { trustedProxies, isLocal } = this.#rules
    const local = isLocal(address)
    const own = this.#byNetwork.get(network) ?? new Set()
    const mostEach = this.#limits.maxConnectionsPerAddress || shareOf(most, CONNECTION_SHARE)
    if (own.size >= mostEach && !local && !trustedProxies?.has(address)) {
      this.refused.address++
      raw.destroy()
      return false
    }
    if (this.#open >= most - Math.min(MOST_RESERVED, Math.floor(most / 10)) && !this.#closeIdle(own.size)) {
      connection.probesOnly = !local
    }
    this.#open++
    this.#byNetwork.set(network, own.add(connection))
    raw.once('close', () => this.#forget(connection))
    return true
  }

  /** Closes the oldest idle connection of the network that has the most, unless it has fewer than `atLeast`. */
  #closeIdle(atLeast: number): boolean {
    let found: Connection | undefined
    let most = Math.max(0, atLeast - 1)
    for (const own of this.#byNetwork.values()) {
      if (own.size <= most) continue
      const idle = [...own].find((connection) => !connection.isBusy)
      if (idle) [found, most] = [idle, own.size]
    }
    if (!found) return false
    this.refused.full++
    this.#forget(found)
    found.raw.destroy()
    return true
  }

  /** Stops counting a connection as soon as it is closed here, before the socket emits 'close'. */
  #forget(connection: Connection): void {
    const own = this.#byNetwork.get(connection.network)
    if (!own?.delete(connection)) return
    this.#open--
    if (own.size === 0) this.#byNetwork.delete(connection.network)
  }

  /** Accepts a parsed request. It is answered once the answers before it on its connection have been taken. */
  #receive(app: Pick<App, 'handler'>, request: Waiting): void {
    const { socket } = request.req
    // The socket was just destroyed; this request came with the same read.
    if (socket.destroyed) return
    const connection = this.#bySocket.get(socket)
    // A server that does not listen on a socket of its own hands in requests whose socket is unknown here.
    if (!connection) return app.handler(request.req, request.res, request.heldBack)
    const { waiting } = connection
    if (!connection.isBusy && waiting.length === 0) return this.#answer(app, connection, request)
    if (waiting.length >= MAX_WAITING) {
      this.refused.pipelined++
      socket.destroy()
      return
    }
    waiting.push(request)
    socket.pause()
    if (waiting.length === 1) connection.current!.once('close', () => this.#answerNext(app, connection))
  }

  #answerNext(app: Pick<App, 'handler'>, connection: Connection): void {
    const next = connection.waiting.shift()
    if (!next) return
    // The server is overloaded for this client. Refusing each of up to 50 pipelined requests would cost time for each.
    if (connection.current!.statusCode === 503) {
      this.refused.pipelined++
      next.req.socket.destroySoon()
      return
    }
    if (connection.waiting.length > 0) next.res.once('close', () => this.#answerNext(app, connection))
    else next.req.socket.resume()
    this.#answer(app, connection, next)
  }

  #answer(app: Pick<App, 'handler'>, connection: Connection, { req, res, heldBack }: Waiting): void {
    // After an answer that closes the connection no other answer can be written.
    if (!req.socket.writable) return
    connection.current = res
    const refusal = this.#refusalOf(req, connection)
    if (!refusal) return app.handler(req, res, heldBack)
    const answer = problemAnswer(refusal)
    send(req, res, { ...answer, headers: { ...answer.headers, connection: 'close' } })
  }

  /** Why a request is refused before routing. */
  #refusalOf(req: IncomingMessage, { probesOnly }: Connection): SteleError | undefined {
    const isProbe = PROBES.includes(req.url ?? '')
    if (probesOnly && !isProbe) {
      this.refused.reserved++
      return new SteleError('overloaded', 'connections: all are in use except those reserved for probes')
    }
    return ambiguity(req, isProbe)
  }

  /**
   * Disconnects clients that do not take their answers. An answer is written in slices, the next one when the kernel
   * has taken the one before. Progress means that the kernel took more bytes; the time without progress is measured.
   */
  #cutSlowReaders(): void {
    for (const [socket, connection] of this.#bySocket) {
      const { current } = connection
      const takenBytes = socket.bytesWritten - socket.writableLength
      const waits = connection.isBusy && (current!.writableEnded || current!.writableNeedDrain)
      connection.stalledMs =
        waits && takenBytes === connection.takenBytes ? connection.stalledMs + CHECK_MS : 0
      connection.takenBytes = takenBytes
      if (connection.stalledMs < this.#limits.answerTimeoutMs) continue
      this.refused.slow_reader++
      // A reset also drops what the kernel still holds for this client.
      if (socket === connection.raw) socket.resetAndDestroy()
      else socket.destroy()
    }
  }
}

function shareOf(most: number, share: number): number {
  return Math.max(1, Math.floor(most * share))
}

function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/**
 * Refuses a request that a proxy may have understood differently. Of two equal headers Node keeps the first, some
 * proxies the second.
 */
function ambiguity(req: IncomingMessage, isProbe: boolean): SteleError | undefined {
  const { rawHeaders, httpVersionMajor, httpVersionMinor } = req
  if (httpVersionMajor < 1) return new SteleError('malformed', 'request: expected HTTP/1.1, got HTTP/0.9')
  let [hosts, credentials] = [0, 0]
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const { length } = rawHeaders[i]!
    if (length === 4 && rawHeaders[i]!.toLowerCase() === 'host') hosts++
    else if (length === 13 && rawHeaders[i]!.toLowerCase() === 'authorization') credentials++
  }
  if (hosts > 1) return new SteleError('malformed', `request: expected one Host, got ${hosts}`)
  if (credentials > 1) {
    return new SteleError('malformed', `request: expected one Authorization, got ${credentials}`)
  }
  // Load balancers may probe with HTTP/1.0 and only a request line.
  if (hosts === 1 || (httpVersionMinor === 0 && isProbe)) return undefined
  return new SteleError('malformed', 'request: expected a header Host, got none')
}

/** The answer to bytes that Node could not parse as HTTP: an error with a code. */
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
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'too_slow', 'request: it arrived too slowly'],
}
