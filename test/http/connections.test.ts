import { connect as connectTls } from 'node:tls'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parseAddressSet } from '../../src/access/address.ts'
import type { Handler } from '../../src/http/app.ts'
import { Connections, type ConnectionLimits, type ConnectionRules } from '../../src/http/connections.ts'
import { send } from '../../src/http/answer.ts'
import { OPEN_GATE } from '../../src/http/gate.ts'
import { selfSigned } from '../support/certificate.ts'
import { listenInTest } from '../support/listen.ts'
import { openTestLog } from '../support/log.ts'
import { RawConnection, serve } from './server.ts'

const LIMITS: ConnectionLimits = {
  headersTimeoutMs: 10_000,
  bodyTimeoutMs: 10_000,
  answerTimeoutMs: 30_000,
  maxAnswerBytesInFlight: 128 * 1024 * 1024,
  maxConnections: 1000,
  maxConnectionsPerAddress: 0,
}
/** Here only this address is local, and all others of 127.0.0.0/8 are strangers. */
const RULES: ConnectionRules = { isLocal: (address) => address === '127.0.0.1' }

interface Made {
  readonly connections: Connections
  readonly port: number
}

/** A server that answers as `handler` says. */
async function serverOf(
  handler: Handler,
  limits: Partial<ConnectionLimits> = {},
  rules = RULES,
): Promise<Made> {
  const connections = new Connections({ ...LIMITS, ...limits }, rules)
  return { connections, port: await listenInTest(connections.createServer({ handler, breakOff() {} })) }
}

async function connection(port: number, localAddress = '127.0.0.2'): Promise<RawConnection> {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  await once(socket, 'connect')
  return new RawConnection(socket)
}

const echo: Handler = (req, res) => send(req, res, { status: 200, headers: {}, body: `<${req.url}>` })

describe('one request at a time', () => {
  test('what is pipelined behind a request is not begun before its answer is written', async () => {
    const begun: string[] = []
    const ends: (() => void)[] = []
    const server = await serverOf((req, res) => {
      begun.push(req.url!)
      ends.push(() => send(req, res, { status: 200, headers: {}, body: `<${req.url}>` }))
    })
    const client = await connection(server.port)
    client.socket.write(['/1', '/2', '/3'].map((url) => `GET ${url} HTTP/1.1\r\nhost: a\r\n\r\n`).join(''))
    for (const url of ['/1', '/2', '/3']) {
      await expect.poll(() => begun.at(-1)).toBe(url)
      expect(ends).toHaveLength(1)
      ends.pop()!()
      await client.hear(`<${url}>`)
    }
    expect(begun).toEqual(['/1', '/2', '/3'])
  })

  test('a body behind another request is read when its turn comes', async () => {
    const server = await serverOf((req, res) => {
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () =>
        send(req, res, { status: 200, headers: {}, body: `<${Buffer.concat(chunks).length}>` }),
      )
    })
    const client = await connection(server.port)
    const post = `POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 200000\r\n\r\n${'x'.repeat(200_000)}`
    client.socket.write(`GET / HTTP/1.1\r\nhost: a\r\n\r\n${post}${post}`)
    await expect.poll(() => client.received.match(/<\d+>/g)).toEqual(['<0>', '<200000>', '<200000>'])
  })

  test('64 may wait; a client that sends more is cut off, and nothing of it is done', async () => {
    let begun = 0
    const server = await serverOf(() => begun++)
    const client = await connection(server.port)
    client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(200))
    expect(await client.closed).toBe('')
    expect([begun, server.connections.refused.pipelined]).toEqual([1, 1])
  })

  test('after an answer that closes the connection the next one is not begun', async () => {
    let begun = 0
    const server = await serverOf((req, res) => {
      begun++
      send(req, res, { status: 200, headers: { connection: 'close' }, body: 'bye' })
    })
    const client = await connection(server.port)
    client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(3))
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 [^]*bye$/)
    expect(begun).toBe(1)
  })

  test('what was sent behind a request for which there was no room is not begun either', async () => {
    let begun = 0
    const server = await serverOf((req, res) => {
      begun++
      send(req, res, { status: 503, headers: {}, body: 'full' })
    })
    const client = await connection(server.port)
    client.socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(50))
    expect(await client.closed).toMatch(/^HTTP\/1\.1 503 [^]*full$/)
    expect([begun, server.connections.refused.pipelined]).toEqual([1, 1])
  })
})

test('of all answers that are read while they are sent, three pieces are made at once', async () => {
  let [making, most] = [0, 0]
  const pieces = {
    length: 10 * 20_000,
    async *[Symbol.asyncIterator]() {
      for (let i = 0; i < 10; i++) {
        most = Math.max(most, ++making)
        await setImmediate()
        making--
        yield new Uint8Array(20_000)
      }
    },
  }
  const server: Made = await serverOf((req, res) => {
    const { answers } = server.connections
    send(req, res, answers.hold('a network', res, { status: 200, headers: {}, body: pieces }))
  })
  const answers = await Promise.all(
    Array.from({ length: 30 }, async () => (await fetch(`http://127.0.0.1:${server.port}/`)).arrayBuffer()),
  )
  expect(answers.map(({ byteLength }) => byteLength)).toEqual(Array.from({ length: 30 }, () => pieces.length))
  expect(most).toBe(3)
})

describe('answers that are not taken', () => {
  const big = Buffer.alloc(32 * 1024 * 1024, 'x')

  test.each(['http', 'https'])(
    '%s: the client is cut off, and another is not',
    { timeout: 20_000 },
    async (scheme) => {
      const connections = new Connections({ ...LIMITS, answerTimeoutMs: 1000 }, RULES)
      const handler: Handler = (req, res) => send(req, res, { status: 200, headers: {}, body: big })
      const { cert, key } = selfSigned()
      const server = connections.createServer(
        { handler, breakOff() {} },
        scheme === 'https' ? { cert, key } : undefined,
      )
      const port = await listenInTest(server)
      const open = async (): Promise<Socket> => {
        const socket =
          scheme === 'https'
            ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
            : connect(port, '127.0.0.1')
        onTestFinished(() => void socket.destroy())
        socket.on('error', () => {})
        await once(socket, scheme === 'https' ? 'secureConnect' : 'connect')
        socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n')
        return socket
      }
      await open()
      await expect.poll(() => connections.refused.slow_reader, { timeout: 10_000 }).toBe(1)
      await expect.poll(() => connections.open).toBe(0)
      const reader = await open()
      let bytes = 0
      for await (const chunk of reader) {
        bytes += (chunk as Buffer).length
        if (bytes > big.length) break
      }
      expect(connections.refused.slow_reader).toBe(1)
    },
  )

  test('hold memory of one network up to its share, and give it back when it hangs up', async () => {
    const server = await serve([await withEntries()], {
      limits: { maxAnswerBytesInFlight: 16 * 1024 * 1024 },
    })
    const held = async (): Promise<number> =>
      Number(/^stele_http_answer_bytes (\d+)$/m.exec((await server.get('/metrics')).text)![1])
    const readers = await Promise.all(Array.from({ length: 8 }, () => stalled(server.port)))
    await expect.poll(held).toBe(4 * 1024 * 1024)
    const refused = await server.get('/logs/demo/tile/entries/000')
    expect([refused.status, refused.json()['code'], refused.headers['retry-after']]).toEqual([
      503,
      'overloaded',
      '2',
    ])
    expect((await server.get('/logs/demo/tile/0/000')).status).toBe(200)
    for (const socket of readers) socket.destroy()
    await expect.poll(held).toBe(0)
    expect((await server.get('/logs/demo/tile/entries/000')).status).toBe(200)
  })

  async function stalled(port: number): Promise<Socket> {
    const socket = connect(port, '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    await once(socket, 'connect')
    socket.write('GET /logs/demo/tile/entries/000 HTTP/1.1\r\nhost: a\r\n\r\n')
    await once(socket, 'readable')
    return socket
  }

  async function withEntries(): ReturnType<typeof openTestLog> {
    const hosted = await openTestLog()
    await hosted.add(...Array.from({ length: 256 }, (_, i) => `${i} `.padEnd(60_000, 'x')))
    return hosted
  }
})

describe('one address', () => {
  const waiting: Handler = (req, res) => {
    if (req.url === '/healthz') send(req, res, { status: 200, headers: {}, body: 'ok' })
  }
  const busy = async (port: number, localAddress?: string): Promise<RawConnection> => {
    const made = await connection(port, localAddress)
    made.socket.write('GET /wait HTTP/1.1\r\nhost: a\r\n\r\n')
    return made
  }

  test('gets a quarter of the connections, and others get in', async () => {
    const server = await serverOf(waiting, { maxConnections: 40 })
    await Promise.all(Array.from({ length: 10 }, () => busy(server.port)))
    await expect.poll(() => server.connections.open).toBe(10)
    expect(await (await connection(server.port)).closed).toBe('')
    expect(server.connections.refused.address).toBe(1)
    const other = await connection(server.port, '127.0.0.3')
    other.socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')
    await other.hear('ok')
  })

  test('gets as many as the operator says', async () => {
    const server = await serverOf(waiting, { maxConnections: 40, maxConnectionsPerAddress: 2 })
    await Promise.all(Array.from({ length: 2 }, () => busy(server.port)))
    expect(await (await connection(server.port)).closed).toBe('')
  })

  test('is not counted where it is that of a trusted proxy, or of this machine', async () => {
    const trustedProxies = parseAddressSet(['127.0.0.2'], 'proxies')
    const server = await serverOf(waiting, { maxConnections: 40 }, { ...RULES, trustedProxies })
    await Promise.all(Array.from({ length: 12 }, () => busy(server.port)))
    await Promise.all(Array.from({ length: 12 }, () => busy(server.port, '127.0.0.1')))
    await expect.poll(() => server.connections.open).toBe(24)
  })

  test('when all are taken but the last tenth, idle ones are closed first, of the network that has most', async () => {
    const server = await serverOf(waiting, { maxConnections: 40 })
    const idle = await Promise.all(Array.from({ length: 10 }, () => connection(server.port)))
    for (const last of [3, 4, 5]) {
      await Promise.all(Array.from({ length: 8 }, () => busy(server.port, `127.0.0.${last}`)))
    }
    await expect.poll(() => server.connections.open).toBe(34)
    for (const last of [6, 7]) {
      for (let i = 0; i < 3; i++) await busy(server.port, `127.0.0.${last}`)
    }
    await expect.poll(() => idle.filter(({ socket }) => socket.destroyed).length).toBe(4)
    expect(server.connections.open).toBe(36)
  })

  test('when all are busy, probes and this machine still get in, and others are told', async () => {
    let begun = 0
    const handler: Handler = (req, res) => {
      begun++
      waiting(req, res)
    }
    const server = await serverOf(handler, { maxConnections: 40 })
    for (const last of [3, 4, 5, 6]) {
      await Promise.all(Array.from({ length: 9 }, () => busy(server.port, `127.0.0.${last}`)))
    }
    await expect.poll(() => begun).toBe(36)
    const stranger = await busy(server.port, '127.0.0.7')
    expect(await stranger.closed).toMatch(/^HTTP\/1\.1 503 [^]*retry-after: [^]*"code":"overloaded"/)
    for (const address of ['127.0.0.2', '127.0.0.1']) {
      const probe = await connection(server.port, address)
      probe.socket.write('GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n')
      await probe.hear('ok')
    }
    expect(server.connections.refused.reserved).toBe(1)
  })
})

describe('long polls', () => {
  test('100 of one address leave everybody else served', async () => {
    const server = await serve([await openTestLog()], { limits: { maxConnections: 100 } })
    const polls = await Promise.all(Array.from({ length: 90 }, () => server.connect()))
    for (const poll of polls) poll.send(['GET /logs/demo/v1/checkpoint?after=0 HTTP/1.1'])
    await expect
      .poll(() => polls.filter(({ received }) => received.startsWith('HTTP/1.1 503')).length)
      .toBe(78)
    const reply = await server.get('/metrics')
    expect(reply.text).toMatch(/^stele_http_long_polls 12$/m)
    expect(reply.text).toMatch(/^stele_http_cut_total\{reason="long_polls"\} 78$/m)
    for (const path of ['/healthz', '/readyz', '/logs/demo/checkpoint']) {
      expect((await server.get(path)).status).toBe(200)
    }
    for (const { socket } of polls) socket.destroy()
    await expect
      .poll(async () => /^stele_http_long_polls (\d+)$/m.exec((await server.get('/metrics')).text)![1])
      .toBe('0')
  })

  test('behind a trusted proxy each client has its own', async () => {
    const addressOf = (req: { headers: Record<string, unknown> }): string =>
      String(req.headers['x-forwarded-for'])
    const server = await serve([await openTestLog()], {
      gate: { ...OPEN_GATE, addressOf },
      limits: { maxLongPollsPerAddress: 1 },
    })
    const poll = (from: string) =>
      server.get('/logs/demo/v1/checkpoint?after=0&timeout=1', { 'x-forwarded-for': from })
    const replies = await Promise.all(['1.1.1.1', '2.2.2.2', '2.2.2.2'].map(poll))
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([204, 204, 503])
  })
})

describe('what proxies may understand in two ways', () => {
  test.each([
    ['HTTP/0.9', 'GET /healthz\r\n\r\n'],
    ['two Hosts', 'GET /healthz HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n'],
    [
      'two Authorizations',
      'GET /healthz HTTP/1.1\r\nhost: a\r\nauthorization: Bearer a\r\nAuthorization: Bearer a\r\n\r\n',
    ],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['no Host, in HTTP/1.0', 'GET /other HTTP/1.0\r\n\r\n'],
  ])('%s is refused with a code', async (_, text) => {
    let begun = 0
    const server = await serverOf(() => begun++)
    const client = await connection(server.port)
    client.socket.write(text)
    expect(await client.closed).toMatch(/^HTTP\/1\.1 400 [^]*"code":"malformed"/)
    expect(begun).toBe(0)
  })

  test('a probe by HTTP/1.0 without a Host is served', async () => {
    const server = await serverOf(echo)
    const client = await connection(server.port)
    client.socket.write('GET /healthz HTTP/1.0\r\n\r\n')
    expect(await client.closed).toMatch(/^HTTP\/1\.1 200 [^]*<\/healthz>$/)
  })
})
