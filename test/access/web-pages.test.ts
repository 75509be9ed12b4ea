import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { hostNameOf } from '../../src/access/address.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

interface Told {
  readonly status: number
  readonly code: unknown
  readonly headers: IncomingMessage['headers']
}

type Ask = (method: string, path: string, headers?: Record<string, string>) => Promise<Told>

/** A server on loopback as "serve" starts it. */
async function started(flags: object = {}): Promise<{ ask: Ask; port: number; provisioning: string }> {
  const { data, provisioning } = await makeInstanceFolder(['main'])
  const config = loadConfig({ flags: { data, port: 0, open: true, 'log-level': 'silent', ...flags } })
  const server = await createServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  const port = Number(new URL(server.url).port)
  const ask: Ask = async (method, path, headers = {}) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false })
    sent.end(method === 'POST' ? `an entry ${Math.random()}` : undefined)
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    const parts: Buffer[] = []
    for await (const part of answer) parts.push(part as Buffer)
    const text = Buffer.concat(parts).toString()
    const problem = answer.headers['content-type'] === 'application/problem+json'
    const code = problem ? (JSON.parse(text) as { code: string }).code : undefined
    return { status: answer.statusCode!, code, headers: answer.headers }
  }
  return { ask, port, provisioning }
}

const ADD = '/logs/main/add'

test('a page whose name was made to lead to loopback neither writes nor reads', async () => {
  const { ask, port, provisioning } = await started()
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    'localhost.evil.example',
    '10.0.0.1',
    '[::2]:1',
  ]) {
    const headers = { host, origin: `http://${host}` }
    for (const [method, path] of [
      ['POST', ADD],
      ['POST', '/logs/main/v1/entries'],
      ['GET', '/logs/main/checkpoint'],
      ['GET', '/metrics'],
      ['GET', '/nothing'],
      ['OPTIONS', ADD],
    ] as const) {
      const { status, code } = await ask(method, path, headers)
      expect([host, method, path, status, code]).toEqual([host, method, path, 421, 'wrong_host'])
    }
    const known = { ...headers, authorization: `Bearer ${provisioning}` }
    expect((await ask('GET', '/v1/keys', known)).status).toBe(421)
  }
  const { ask: asked } = await started({ open: false })
  expect((await asked('GET', '/logs/main/checkpoint', { host: 'evil.example' })).status).toBe(421)
})

test('a server on loopback answers to the names of loopback, of its origins and of its public URL', async () => {
  const { ask, port } = await started({ 'public-url': 'https://Public.example/stele' })
  const names = [
    'localhost',
    'LOCALHOST:1',
    'localhost.',
    '127.0.0.1',
    '127.3.2.1:80',
    '[::1]',
    `[::1]:${port}`,
  ]
  for (const host of [...names, 'public.example', 'public.example:443', 'log.example', 'log.example:8080'])
    expect([host, (await ask('POST', ADD, { host })).status]).toEqual([host, 200])
})

test('a page of another site cannot append, whatever its browser says of where it comes from', async () => {
  const { ask, port } = await started()
  const host = `localhost:${port}`
  for (const site of ['cross-site', 'same-site', 'nonsense']) {
    for (const path of [ADD, '/logs/main/v1/entries', '/logs/main/v1/batches']) {
      const { status, code } = await ask('POST', path, { host, 'sec-fetch-site': site })
      expect([site, path, status, code]).toEqual([site, path, 403, 'forbidden'])
    }
    expect((await ask('GET', '/logs/main/checkpoint', { host, 'sec-fetch-site': site })).status).toBe(200)
  }
  for (const site of ['same-origin', 'none'])
    expect((await ask('POST', ADD, { host, 'sec-fetch-site': site, origin: `http://${host}` })).status).toBe(
      200,
    )
  expect((await ask('POST', ADD, { host, origin: 'http://localhost:1' })).status).toBe(403)
})

test.each([
  ['localhost:6962', 'localhost'],
  ['LOG.example.', 'log.example'],
  ['[::1]:80', '::1'],
  ['127.0.0.1', '127.0.0.1'],
  ['a b', undefined],
  ['a@b', undefined],
  ['a:b', undefined],
  ['[evil]', undefined],
  ['::1', undefined],
  ['', undefined],
])('the name in the header %j is %j', (header, name) => {
  expect(hostNameOf(header)).toBe(name)
})
