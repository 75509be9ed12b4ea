import { createServer, type IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { Transport, type TransportOptions } from '../../src/client/transport.ts'
import { nodeWire } from '../../src/client/wire-node.ts'
import type { Wire } from '../../src/client/wire.ts'
import { listenInTest } from '../support/listen.ts'

interface Served {
  readonly url: string
  readonly seen: IncomingMessage[]
}

/** A server that sends /from to where it is told, and answers everything else. */
async function serve(location = '/to', status = 307): Promise<Served> {
  const seen: IncomingMessage[] = []
  const server = createServer((req, res) => {
    seen.push(req)
    if (req.url === '/from') res.writeHead(status, { location }).end()
    else res.end('here')
  })
  return { url: `http://127.0.0.1:${await listenInTest(server)}`, seen }
}

const pathsOf = ({ seen }: Served): (string | undefined)[] => seen.map(({ url }) => url)

describe.each<[string, () => Wire | undefined]>([
  ['fetch', () => undefined],
  ['node:http', () => nodeWire()],
])('a redirection, over %s', (_, wire) => {
  const get = (url: string, options: TransportOptions = {}, method: 'GET' | 'POST' = 'GET') =>
    new Transport({ wire: wire(), ...options }).ask(`${url}/from`, { method, maxBytes: 100 })

  it.each([301, 302, 303, 307, 308])(
    'of status %i within the server that was asked is followed',
    async (status) => {
      const server = await serve('/to', status)
      expect(new TextDecoder().decode((await get(server.url)).body)).toBe('here')
      expect(pathsOf(server)).toEqual(['/from', '/to'])
    },
  )

  it('to another server is not followed: not by name, by address, or to another port', async () => {
    const other = await serve()
    const port = new URL(other.url).port
    for (const target of [
      other.url,
      `http://localhost:${port}`,
      `//127.0.0.1:${port}`,
      `http://[::1]:${port}`,
    ]) {
      const { url } = await serve(`${target}/to`)
      await expect(get(url)).rejects.toMatchObject({
        code: 'unexpected_answer',
        message: expect.stringContaining('not to the same scheme, host and port') as string,
      })
    }
    expect(other.seen).toEqual([])
  })

  it('to another scheme is not followed', async () => {
    for (const scheme of ['https:', 'file:', 'data:', 'javascript:']) {
      const server = await serve('/to')
      const { url } = await serve(`${scheme}//127.0.0.1:${new URL(server.url).port}/to`)
      await expect(get(url)).rejects.toMatchObject({ code: 'unexpected_answer' })
      expect(server.seen).toEqual([])
    }
  })

  it('is not followed by a request that carries a key, nor by one that writes', async () => {
    const server = await serve('/to')
    const refused = {
      code: 'unexpected_answer',
      message: expect.stringContaining('follows no redirect') as string,
    }
    await expect(get(server.url, { apiKey: 'k' })).rejects.toMatchObject(refused)
    await expect(get(server.url, { apiKey: async () => 'k' })).rejects.toMatchObject(refused)
    await expect(get(server.url, { headers: { Authorization: 'Bearer k' } })).rejects.toMatchObject(refused)
    await expect(get(server.url, {}, 'POST')).rejects.toMatchObject(refused)
    expect(pathsOf(server)).toEqual(['/from', '/from', '/from', '/from'])
  })

  it('that leads in circles ends', async () => {
    const server = await serve('/from')
    await expect(get(server.url)).rejects.toMatchObject({
      code: 'unexpected_answer',
      message: expect.stringContaining('more than 5 times') as string,
    })
    expect(server.seen).toHaveLength(6)
  })

  it('without a place, or to a place with a password, is refused', async () => {
    for (const location of ['http://', 'http://u:p@127.0.0.1/']) {
      const { url } = await serve(location)
      await expect(get(url)).rejects.toMatchObject({ code: 'unexpected_answer' })
    }
  })
})

it('a public server cannot send a reader to an address of its own network', async () => {
  const asked: string[] = []
  const reader = new Transport({
    fetch: async (url) => {
      asked.push(url)
      return new Response(null, { status: 302, headers: { location: 'http://169.254.169.254/latest' } })
    },
  })
  await expect(reader.ask('http://log.example/checkpoint', { maxBytes: 10 })).rejects.toMatchObject({
    code: 'unexpected_answer',
  })
  expect(asked).toEqual(['http://log.example/checkpoint'])
})

it('a browser, which shows nothing of a redirection, follows one that carries no key by its own rules', async () => {
  const asked: (string | undefined)[] = []
  const fetch = async (_: string, init: RequestInit): Promise<Response> => {
    asked.push(init.redirect)
    if (init.redirect !== 'manual') return new Response('here')
    return Object.defineProperty(new Response(), 'type', { value: 'opaqueredirect' })
  }
  expect((await new Transport({ fetch }).ask('https://log.example/', { maxBytes: 10 })).status).toBe(200)
  const withKey = new Transport({ fetch, apiKey: 'k' }).ask('https://log.example/', { maxBytes: 10 })
  await expect(withKey).rejects.toMatchObject({ code: 'unexpected_answer' })
  expect(asked).toEqual(['manual', undefined, 'manual'])
})
