import { describe, expect, onTestFinished, test } from 'vitest'
import { pino } from 'pino'
import { Keyring } from '../../src/access/keyring.ts'
import { accessState } from '../../src/access/state.ts'
import { createApp } from '../../src/http/app.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { OPEN_GATE } from '../../src/http/gate.ts'
import type { Route } from '../../src/http/route.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { directoryOf, TestServer, type Reply } from './server.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

/** Every route that a server with keys has. */
const keyring = new Keyring(accessState([]), {
  apply: () => Promise.reject(new Error('none')),
  nowMs: Date.now,
})
const { routes } = createApp({
  logs: directoryOf(),
  keyring,
  limits: DEFAULT_HTTP_LIMITS,
  gate: OPEN_GATE,
  nowMs: Date.now,
})
const READ = ['open', 'read_heads', 'read_proofs', 'read_entries']
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']

async function started(): Promise<{ server: TestServer; provisioning: string }> {
  const { data, provisioning } = await makeInstanceFolder(['main'])
  const server = await createServer(loadConfig({ flags: { data, port: 0 } }), pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  await server.logs.get('main')!.log!.append([Buffer.from('<script>alert(1)</script>')])
  return { server: new TestServer(Number(new URL(server.url).port)), provisioning }
}

const isRead = ({ method, permission }: Route): boolean => method === 'get' && READ.includes(permission)

/** A path that the route has, though nothing need be there. */
const pathOf = ({ path }: Route): string =>
  path.replaceAll(/\{(\w+)\}/g, (_, name: string) => ({ log: 'main', tile: '000', width: '1' })[name] ?? '0')

function expectFitting(reply: Reply, readable: boolean, method: string, what: string): void {
  expectSafe(reply, what)
  const cors = Object.keys(reply.headers).filter((name) => name.startsWith('access-control-'))
  if (!readable) expect(cors, what).toEqual([])
  expect(reply.headers['access-control-allow-credentials'], what).toBeUndefined()
  if (readable && method === 'OPTIONS' && reply.status === 204) {
    expect(reply.headers['access-control-allow-methods'], what).toBe('GET, HEAD, OPTIONS')
  }
}

function expectSafe(reply: Reply, what: string): void {
  const { headers } = reply
  expect(headers, what).toMatchObject({
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  for (const name of ['server', 'x-powered-by', 'set-cookie', 'strict-transport-security']) {
    expect(headers[name], `${what}: ${name}`).toBeUndefined()
  }
  if (headers['content-type']?.includes('html')) {
    const policy = headers['content-security-policy']
    expect(policy, what).toMatch(/^default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]+';/)
    expect(policy, what).toContain("frame-ancestors 'none'")
    expect(policy, what).not.toContain('unsafe')
    expect(reply.text, what).not.toMatch(/<script|\son\w+=|style="/i)
  }
}

describe('every route, with every method, known and unknown', () => {
  test('says what browsers may do with it', { timeout: 60_000 }, async () => {
    const { server, provisioning } = await started()
    for (const path of new Set(routes.map(pathOf))) {
      const readable = routes.some((route) => pathOf(route) === path && isRead(route))
      for (const method of METHODS) {
        for (const credentials of [undefined, provisioning, 'st_x']) {
          const headers = credentials === undefined ? {} : { authorization: `Bearer ${credentials}` }
          const reply = await server.ask(path, {
            method,
            headers,
            ...(method === 'POST' ? { body: '{' } : {}),
          })
          expectFitting(reply, readable, method, `${method} ${path} ${reply.status}`)
        }
      }
    }
  })

  test('there are such that pages may read, and such that they may not', () => {
    const closed = routes.filter(({ permission }) => !READ.includes(permission)).map(({ path }) => path)
    expect(closed).toEqual(expect.arrayContaining(['/v1/keys', '/v1/keys/{id}/rotate', '/metrics']))
    expect(routes.length - closed.length).toBeGreaterThan(15)
  })
})

test('a page of another origin reads a log, and is not told that it may ask for keys', async () => {
  const { server } = await started()
  const preflight = (path: string, method: string): Promise<Reply> =>
    server.ask(path, {
      method: 'OPTIONS',
      headers: { origin: 'https://page.example', 'access-control-request-method': method },
    })
  const read = await preflight('/logs/main/v1/entries', 'GET')
  expect([read.status, read.headers['access-control-allow-origin']]).toEqual([204, '*'])
  expect((await server.get('/logs/main/checkpoint')).headers['access-control-allow-origin']).toBe('*')
  for (const path of ['/v1/keys', '/v1/keys/x/revoke', '/metrics', '/logs/main/add']) {
    expect((await preflight(path, 'POST')).headers['access-control-allow-origin'], path).toBeUndefined()
  }
})

test('an entry that is a page does not run as one', async () => {
  const { server } = await started()
  const { headers, text } = await server.get('/logs/main/v1/entries/0', { accept: '*/*' })
  expect(text).toContain('script')
  expect(headers['content-security-policy']).toBe("default-src 'none'; sandbox")
})

test('what is no HTTP is answered with the same headers', async () => {
  const { server } = await started()
  const connection = await server.connect()
  connection.socket.write('nonsense\r\n\r\n')
  const answer = await connection.closed
  expect(answer).toMatch(/^HTTP\/1\.1 400 /)
  expect(answer).toContain('x-content-type-options: nosniff')
  expect(answer).toContain('referrer-policy: no-referrer')
  expect(answer).not.toMatch(/^(server|access-control-[a-z-]+|strict-transport-security):/im)
})

test.each(['/none', '/v1/none', '/logs/none/checkpoint', '/logs/main/none', '/%00', '//', '/..'])(
  '%s is nowhere, and says no more',
  async (path) => {
    const { server } = await started()
    const reply = await server.get(path)
    expect(reply.status).toBe(404)
    expectSafe(reply, path)
  },
)
