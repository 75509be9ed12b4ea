import { request, type IncomingHttpHeaders } from 'node:http'
import { connect, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'
import type { HttpDeps } from '../../src/http/deps.ts'
import type { HostedLog, LogDirectory } from '../../src/instance/directory.ts'
import { OPEN_GATE } from '../../src/http/gate.ts'
import { DEFAULT_HTTP_LIMITS, type HttpLimits } from '../../src/http/limits.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { TEST_NOW_MS } from '../support/log.ts'
import { listenInTest } from '../support/listen.ts'

/** A directory of exactly these logs. */
export function directoryOf(...logs: HostedLog[]): LogDirectory {
  return { get: (name) => logs.find((log) => log.name === name), list: () => logs }
}

export interface TestServerOptions extends Partial<Omit<HttpDeps, 'logs' | 'limits'>> {
  readonly limits?: Partial<HttpLimits>
}

/** A server over these logs, on a port of its own, closed when the test has finished. */
export async function serve(
  logs: HostedLog[],
  { limits, ...deps }: TestServerOptions = {},
): Promise<TestServer> {
  const server = createHttpServer({
    nowMs: () => TEST_NOW_MS,
    gate: OPEN_GATE,
    ...deps,
    logs: directoryOf(...logs),
    limits: { ...DEFAULT_HTTP_LIMITS, ...limits },
  })
  return new TestServer(await listenInTest(server))
}

/** What came back. */
export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
  readonly text: string
  /** The body as JSON. */
  json(): Record<string, unknown>
}

export interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: string | Uint8Array
}

/** Asks a server. Paths go out as they are, neither normalised nor escaped. */
export class TestServer {
  readonly port: number

  constructor(port: number) {
    this.port = port
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Reply> {
    return this.ask(path, { headers })
  }

  post(path: string, body: string | Uint8Array, headers: Record<string, string> = {}): Promise<Reply> {
    return this.ask(path, { method: 'POST', body, headers })
  }

  ask(path: string, { method = 'GET', headers = {}, body }: Ask = {}): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const req = request(
        { port: this.port, host: '127.0.0.1', path, method, headers, agent: false },
        (res) => {
          const chunks: Buffer[] = []
          res.on('data', (chunk: Buffer) => chunks.push(chunk))
          res.on('end', () => {
            const bytes = Buffer.concat(chunks)
            const text = bytes.toString()
            const json = (): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>
            resolve({ status: res.statusCode ?? 0, headers: res.headers, bytes, text, json })
          })
          res.on('error', reject)
        },
      )
      req.on('error', reject)
      if (method === 'POST' && body !== undefined && headers['transfer-encoding'] === undefined) {
        req.setHeader('content-length', Buffer.byteLength(body))
      }
      req.end(body)
    })
  }

  /** A connection for what no HTTP client would send. */
  async connect(): Promise<RawConnection> {
    const socket = connect({ port: this.port, host: '127.0.0.1', allowHalfOpen: true })
    await new Promise((resolve) => socket.once('connect', resolve))
    return new RawConnection(socket)
  }
}

/** Bytes to and from a server. */
export class RawConnection {
  readonly socket: Socket
  received = ''
  readonly closed: Promise<string>
  #heard: () => void = () => {}

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      this.received += chunk.toString('latin1')
      this.#heard()
    })
    this.closed = new Promise((resolve) => {
      const end = (): void => {
        socket.destroy()
        resolve(this.received)
      }
      socket.once('end', end).once('close', end)
    })
    onTestFinished(() => void socket.destroy())
  }

  /** Sends lines of a request's head, an empty line, and what follows it. */
  send(head: string[], rest = ''): this {
    this.socket.write([...head, 'Host: test', '', rest].join('\r\n'), 'latin1')
    return this
  }

  /** Resolves once the server has sent this. */
  async hear(part: string): Promise<string> {
    while (!this.received.includes(part)) await new Promise<void>((resolve) => (this.#heard = resolve))
    return this.received
  }
}
