import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Transport } from '../../src/client/transport.ts'
import { nodeWire } from '../../src/client/wire-node.ts'

interface Served {
  readonly url: string
  readonly seen: IncomingMessage[]
  readonly connections: () => number
}

/** A server that answers as it is told, until the test has finished. */
async function serve(answer: RequestListener): Promise<Served> {
  const seen: IncomingMessage[] = []
  let connections = 0
  const server = createServer((req, res) => {
    seen.push(req)
    answer(req, res)
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`
  return { url, seen, connections: () => connections }
}

const client = (timeoutMs = 10_000): Transport => new Transport({ wire: nodeWire(), timeoutMs })
const BYTES = new TextEncoder().encode('an entry, and another one. '.repeat(4000))

describe('reading by node:http', () => {
  it('gives status, headers and the whole body', async () => {
    const { url } = await serve((_, res) => res.writeHead(200, { 'x-a': 'b' }).end(BYTES))
    const answer = await client().ask(url, { maxBytes: BYTES.length })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-a')).toBe('b')
    expect(Buffer.from(answer.body)).toEqual(Buffer.from(BYTES))
  })

  it('sends method, headers and body, and passes by the caches only where it must', async () => {
    const bodies: string[] = []
    const { url, seen } = await serve((req, res) => {
      req.on('data', (part: Buffer) => bodies.push(part.toString()))
      req.on('end', () => res.end())
    })
    const wired = new Transport({ wire: nodeWire(), headers: { authorization: 'Bearer x' } })
    await wired.ask(url, { method: 'POST', body: Buffer.from('sent'), headers: { 'x-a': 'b' }, maxBytes: 0 })
    await wired.ask(url, { maxBytes: 0, fresh: true })
    expect([seen[0]!.method, bodies]).toEqual(['POST', ['sent']])
    expect(seen[0]!.headers).toMatchObject({ authorization: 'Bearer x', 'x-a': 'b' })
    expect(seen[0]!.headers).not.toHaveProperty('cache-control')
    expect(seen[1]!.headers).toMatchObject({ authorization: 'Bearer x', 'cache-control': 'no-cache' })
  })

  it('asks again on the same connection', async () => {
    const { url, connections } = await serve((_, res) => res.end(BYTES))
    for (let i = 0; i < 3; i++) await client().ask(url, { maxBytes: BYTES.length })
    expect(connections()).toBe(1)
  })

  it.each([
    ['gzip', 'gzip, identity'],
    ['identity', 'identity'],
  ] as const)('asks for %s, and understands both', async (encoding, header) => {
    const { url, seen } = await serve((req, res) => {
      if (req.url === '/x') res.end(BYTES)
      else res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(BYTES))
    })
    const wired = new Transport({ wire: nodeWire(encoding) })
    for (const where of [url, `${url}/zipped`]) {
      const { body } = await wired.ask(where, { maxBytes: BYTES.length })
      expect(Buffer.from(body)).toEqual(Buffer.from(BYTES))
    }
    expect(seen.map(({ headers }) => headers['accept-encoding'])).toEqual([header, header])
  })

  it('goes where it is sent', async () => {
    const { url } = await serve((req, res) => {
      if (req.url === '/x') res.writeHead(302, { location: '/y' }).end()
      else res.end('there')
    })
    const { body } = await client().ask(url, { maxBytes: 5 })
    expect(new TextDecoder().decode(body)).toBe('there')
  })

  it('hands on what the log says of a refusal', async () => {
    const { url } = await serve((_, res) => {
      res.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '7' })
      res.end('{"code":"overloaded","detail":"the queue is full"}')
    })
    const asked = client().ask(url, { maxBytes: 10 })
    await expect(asked).rejects.toMatchObject({ code: 'overloaded', retryAfterSeconds: 7 })
  })
})

describe('a server that does not mean well', () => {
  it.each([200, 500])('and never ends its body, with status %i, is hung up on', async (status) => {
    let closed = (): void => {}
    const isClosed = new Promise<void>((resolve) => (closed = resolve))
    const { url } = await serve((_, res) => {
      res.writeHead(status)
      const more = (): void => {
        while (res.write(BYTES));
      }
      res.on('drain', more).on('close', closed)
      more()
    })
    await expect(client().ask(url, { maxBytes: 1000 })).rejects.toMatchObject({ code: 'unexpected_answer' })
    await isClosed
  })

  it('cannot fill the memory with what a few bytes inflate to', async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024))
    const { url } = await serve((_, res) => res.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb))
    const asked = client().ask(url, { maxBytes: 1_000_000 })
    await expect(asked).rejects.toMatchObject({
      code: 'unexpected_answer',
      message: expect.stringContaining('inflates to'),
    })
  })

  it('may compress what only grows by it', async () => {
    const noise = crypto.getRandomValues(new Uint8Array(60_000))
    const { url } = await serve((_, res) =>
      res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(noise)),
    )
    const { body } = await client().ask(url, { maxBytes: noise.length })
    expect(Buffer.from(body)).toEqual(Buffer.from(noise))
  })

  it.each([
    ['ends before its body does', {}, BYTES.subarray(0, 10)],
    ['ends before what it compressed does', { 'content-encoding': 'gzip' }, gzipSync(BYTES).subarray(0, 30)],
    ['says gzip and means something else', { 'content-encoding': 'gzip' }, BYTES],
  ])('is unreachable when it %s', async (_, headers, sent) => {
    const { url } = await serve((_req, res) => {
      const isCut = sent.length < 100
      res.writeHead(200, { ...headers, 'content-length': isCut ? 1000 : sent.length })
      res.write(sent, () => (isCut ? res.destroy() : res.end()))
    })
    await expect(client().ask(url, { maxBytes: 1_000_000 })).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('is told apart when it uses an encoding that nobody asked for', async () => {
    const { url } = await serve((_, res) => res.writeHead(200, { 'content-encoding': 'br' }).end('x'))
    await expect(client().ask(url, { maxBytes: 10 })).rejects.toMatchObject({
      code: 'unexpected_answer',
      message: expect.stringContaining('"br"'),
    })
  })

  it.each([
    ['never answers', () => {}],
    ['never ends its body', (_: IncomingMessage, res: { write: (text: string) => void }) => res.write('x')],
  ])('is unreachable when it %s', async (_, answer) => {
    const { url } = await serve(answer)
    const asked = client(50).ask(url, { maxBytes: 10 })
    await expect(asked).rejects.toMatchObject({ code: 'unreachable', message: `${url}: no answer in 50 ms` })
  })

  it('and closes the connection unanswered is unreachable', async () => {
    const { url } = await serve((req) => req.socket.destroy())
    await expect(client().ask(url, { maxBytes: 10 })).rejects.toMatchObject({ code: 'unreachable' })
  })

  it('is left when the caller gives up', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const { url } = await serve(() => controller.abort(reason))
    const asked = client().ask(url, { maxBytes: 10, signal: controller.signal })
    await expect(asked).rejects.toBe(reason)
  })
})
