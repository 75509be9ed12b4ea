import { Agent, request, type IncomingHttpHeaders } from 'node:http'

/** What a server answered. */
export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Ask {
  readonly method?: 'GET' | 'POST'
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** One kept-alive connection to a server, for one request at a time. */
export class Connection {
  readonly #url: string
  readonly #agent: Agent
  readonly #localAddress: string | undefined
  readonly #headers: Readonly<Record<string, string>>

  /**
   * @param url what all paths are added to
   * @param localAddress to come from another address than others, of 127.0.0.0/8
   * @param key an API key for every request
   */
  constructor(url: string, { localAddress, key }: { localAddress?: string; key?: string } = {}) {
    this.#headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
    this.#url = url
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 })
    this.#localAddress = localAddress
  }

  /** The whole answer. Rejects with the connection's error if it does not come whole. */
  ask(path: string, { method = 'GET', body, headers = {} }: Ask = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(`${this.#url}${path}`, {
        method,
        agent: this.#agent,
        ...(this.#localAddress === undefined ? {} : { localAddress: this.#localAddress }),
        headers: { ...this.#headers, ...headers, ...(body ? { 'content-length': body.length } : {}) },
      })
      sent.on('error', reject)
      sent.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      })
      sent.end(body)
    })
  }

  /** The parsed JSON of an answer that must have this status. */
  async json<T>(path: string, status = 200): Promise<T> {
    const answer = await this.ask(path)
    if (answer.status !== status) {
      throw new Error(`${path}: expected status ${status}, got ${answer.status}: ${String(answer.body)}`)
    }
    return JSON.parse(String(answer.body)) as T
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Does something for each item, on several connections at a time. */
export async function eachOver<T>(
  url: string,
  items: Iterable<T>,
  work: (connection: Connection, item: T) => Promise<void>,
): Promise<void> {
  // One iterator for all: each takes what comes next.
  const queue = items[Symbol.iterator]()
  const workOff = async (): Promise<void> => {
    const connection = new Connection(url)
    try {
      for (let next = queue.next(); !next.done; next = queue.next()) await work(connection, next.value)
    } finally {
      connection.close()
    }
  }
  await Promise.all(Array.from({ length: 8 }, workOff))
}
