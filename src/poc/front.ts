import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An answer over HTTP. */
export interface Reply {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

/** What passes through a front. */
export interface Passing {
  readonly method: string
  /** Below the log's prefix, with its query: `checkpoint`, `v1/entries?proof=true`. */
  readonly path: string
  readonly body: Buffer
  /** What the log behind it answers. */
  readonly genuine: () => Promise<Reply>
}

/** Decides what a reader is told; undefined hangs up without an answer. */
export type Lie = (passing: Passing) => Reply | undefined | Promise<Reply | undefined>

const PREFIX = '/logs/main/'
const HONEST: Lie = ({ genuine }) => genuine()

/**
 * The address at which readers find the log: a proxy that stays where it is while what stands behind it changes. It is
 * what anybody on the network path, or an operator, can put there.
 */
export class Front {
  readonly #server: Server
  /** The server behind it, without a trailing slash. */
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

  /** The log's prefix, as readers know it. */
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
      // What is not below the log's prefix is the instance's, and passes.
      const reply = await (req.url?.startsWith(PREFIX) ? this.lie(passing) : passing.genuine())
      if (!reply) return void res.destroy()
      res.writeHead(reply.status, { 'content-type': reply.type, 'content-length': reply.body.length })
      res.end(reply.body)
    } catch {
      // Nothing behind it, or it went away: so does this.
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

/** Over a connection of its own: one that is kept alive would hold up the server behind when it is stopped. */
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

/** An answer made up. */
export function textReply(text: string, type = 'text/plain; charset=utf-8', status = 200): Reply {
  return { status, type, body: Buffer.from(text) }
}
