import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

/** A request that passes through the proxy. */
export interface Passing {
  readonly method: string
  /** The path below the log's prefix, with its query: `checkpoint`, `v1/entries?proof=true`. */
  readonly path: string
  readonly body: Buffer
  /** Returns the response of the log behind the proxy. */
  readonly genuine: () => Promise<Reply>
}

/** Returns the response to a reader; undefined closes the connection without one. */
export type Lie = (passing: Passing) => Reply | undefined | Promise<Reply | undefined>

const PREFIX = '/logs/main/'
const HONEST: Lie = ({ genuine }) => genuine()

/**
 * The proxy through which readers reach the log. Its address stays the same while the server behind it changes. An
 * operator or an attacker on the network path can run such a proxy.
 */
export class Front {
  readonly #server: Server
  /** The URL of the server behind the proxy, without a trailing slash. */
  target: string
  lie: Lie = HONEST

  private constructor(server: Server, target: string) {
    this.#server = server
    this.target = target
  }

  static async open(target: string): Promise<Front> {
    const server = createServer((req, res) => void front.#answer(req, res))
    const front = new Front(server, target)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return front
  }

  /** The log's prefix in the URLs of readers. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${PREFIX.slice(0, -1)}`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      const passing = await this.#passing(req)
      // Requests outside of the log's prefix are for the server and pass unchanged.
      const reply = await (req.url?.startsWith(PREFIX) ? this.lie(passing) : passing.genuine())
      if (!reply) return void res.destroy()
      res.writeHead(reply.status, { 'content-type': reply.type, 'content-length': reply.body.length })
      res.end(reply.body)
    } catch {
      // There is no server behind the proxy, or it closed the connection.
      res.destroy()
    }
  }

  async #passing(req: IncomingMessage): Promise<Passing> {
    const body = await readAll(req)
    const { method = 'GET', url = '/' } = req
    return {
      method,
      path: url.replace(PREFIX, ''),
      body,
      genuine: () => ask(`${this.target}${url}`, method, typed(req.headers['content-type']), body),
    }
  }
}

/** Uses a new connection for each request: a kept-alive one would delay stopping the server behind. */
export async function ask(
  url: string,
  method: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<Reply> {
  const sized = { ...headers, 'content-length': body.length }
  const asked = request(url, { method, headers: sized, agent: false })
  asked.end(body)
  const [answer] = (await once(asked, 'response')) as [IncomingMessage]
  return {
    status: answer.statusCode ?? 0,
    type: answer.headers['content-type'] ?? '',
    body: await readAll(answer),
  }
}

function typed(type: string | undefined): Record<string, string> {
  return type === undefined ? {} : { 'content-type': type }
}

async function readAll(from: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of from) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** A made-up response. */
export function textReply(text: string, type = 'text/plain; charset=utf-8', status = 200): Reply {
  return { status, type, body: Buffer.from(text) }
}
