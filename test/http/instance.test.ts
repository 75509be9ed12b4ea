import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import { createApp } from '../../src/http/app.ts'
import { OPEN_GATE } from '../../src/http/gate.ts'
import type { HostedLog } from '../../src/instance/directory.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { LogList, Readiness } from '../../src/http/schemas.ts'
import { openTestLog, TEST_NOW_MS } from '../support/log.ts'
import { directoryOf, serve } from './server.ts'

/** A log that could not be opened. */
const broken: HostedLog = {
  name: 'broken',
  origin: 'log.example/<broken>',
  verifierKey: 'log.example/broken+00000000+AAAA',
  keys: [],
  rotations: '',
  treeHeadKey: Uint8Array.of(1, 2, 3),
  allowDuplicates: false,
  reads: 'public',
  heads: 'open',
  openWrites: true,
  log: undefined,
  failure: new SteleError('rolled_back', 'the database ends at size 3, <b>but</b> 5 was signed'),
}

/** A server of no log, without anything that is optional. */
const BARE = { gate: OPEN_GATE, logs: directoryOf(), limits: DEFAULT_HTTP_LIMITS, nowMs: () => 0 }

describe('v1/logs', () => {
  test('lists every log with its keys, size and state', async () => {
    const hosted = await openTestLog()
    await hosted.add('a', 'b')
    const server = await serve([hosted, broken])
    const [demo, failed] = LogList.parse((await server.get('/v1/logs')).json()).logs
    expect(demo).toEqual({
      name: 'demo',
      origin: 'log.example/logs/demo',
      path: '/logs/demo/',
      verifierKey: hosted.verifierKey,
      verifierKeys: [hosted.verifierKey],
      treeHeadKey: Buffer.from(hosted.treeHeadKey).toString('base64'),
      treeSize: 2,
      rootHash: Buffer.from(hosted.log.published.root).toString('hex'),
      timestampMs: hosted.log.published.timestampMs,
      state: 'serving',
      allowDuplicates: false,
      reads: 'public',
      heads: 'open',
    })
    expect(failed).toEqual({
      name: 'broken',
      origin: broken.origin,
      path: '/logs/broken/',
      verifierKey: broken.verifierKey,
      verifierKeys: [],
      treeHeadKey: 'AQID',
      state: 'failed',
      reason: broken.failure!.message,
      allowDuplicates: false,
      reads: 'public',
      heads: 'open',
    })
  })

  test('is open to pages of other origins', async () => {
    const server = await serve([])
    const reply = await server.get('/v1/logs')
    expect([reply.text, reply.headers['access-control-allow-origin']]).toEqual(['{"logs":[]}', '*'])
  })
})

describe('a log that could not be opened', () => {
  test('says why on each of its routes, and others go on', async () => {
    const server = await serve([broken, await openTestLog()])
    for (const [method, path] of [
      ['GET', 'checkpoint'],
      ['GET', 'tile/0/000'],
      ['GET', 'ct/v1/get-sth'],
      ['GET', 'v1/entries/0'],
      ['POST', 'add'],
      ['POST', 'v1/entries'],
      ['POST', 'v1/batches'],
    ] as const) {
      const reply = await server.ask(`/logs/broken/${path}`, {
        method,
        ...(method === 'POST' ? { body: 'x' } : {}),
      })
      expect([
        path,
        reply.status,
        reply.json()['code'],
        reply.json()['detail'],
        reply.headers['retry-after'],
      ]).toEqual([path, 503, 'log_halted', `log broken: ${broken.failure!.message}`, '30'])
    }
    expect((await server.post('/logs/demo/add', 'x')).status).toBe(200)
  })
})

describe('health', () => {
  test('healthz says that the process is up, whatever its logs are', async () => {
    const server = await serve([broken])
    const reply = await server.get('/healthz')
    expect([reply.status, reply.text, reply.headers['cache-control']]).toEqual([
      200,
      '{"status":"ok"}',
      'no-store',
    ])
  })

  test('parameters that a probe adds do no harm', async () => {
    const server = await serve([await openTestLog()])
    for (const path of ['/healthz', '/readyz', '/'])
      expect((await server.get(`${path}?t=1&t=2`)).status).toBe(200)
  })

  test('servez says yes while any log can be read, and no once none can', async () => {
    const said = async (...logs: HostedLog[]): Promise<[number, string]> => {
      const { status, text } = await (await serve(logs)).get('/servez')
      return [status, text]
    }
    const meta: HostedLog = { ...(await openTestLog({ name: 'meta' })), reads: 'meta' }
    expect(await said(broken, await openTestLog())).toEqual([200, '{"status":"serving"}'])
    expect(await said(broken, meta)).toEqual([503, '{"status":"not serving"}'])
  })

  test('readyz says yes while every log serves with a fresh head', async () => {
    const server = await serve([await openTestLog()])
    const reply = await server.get('/readyz')
    expect(reply.status).toBe(200)
    expect(Readiness.parse(reply.json())).toEqual({
      status: 'ready',
      logs: [{ name: 'demo', ready: true, state: 'serving', headAgeMs: 0 }],
    })
  })

  test('readyz says no and why when a log is not open', async () => {
    const server = await serve([await openTestLog(), broken])
    const reply = await server.get('/readyz')
    expect(reply.status).toBe(503)
    expect(Readiness.parse(reply.json())).toMatchObject({
      status: 'not ready',
      logs: [
        { ready: true },
        { name: 'broken', ready: false, state: 'failed', reason: broken.failure!.message },
      ],
    })
  })

  test('readyz says no when a head is older than allowed', async () => {
    const options = { nowMs: () => TEST_NOW_MS + 5001, limits: { maxHeadAgeMs: 5000 } }
    const server = await serve([await openTestLog()], options)
    const reply = await server.get('/readyz')
    expect([reply.status, reply.json()]).toMatchObject([
      503,
      {
        logs: [{ ready: false, state: 'serving', reason: 'the published head is too old', headAgeMs: 5001 }],
      },
    ])
  })
})

describe('metrics', () => {
  test('count requests by route and tell what each log does', async () => {
    const hosted = await openTestLog()
    const server = await serve([hosted, broken], { nowMs: () => TEST_NOW_MS + 2500 })
    await server.post('/logs/demo/add', 'x')
    await server.post('/logs/demo/add', 'y')
    await server.get('/logs/demo/tile/0/000.p/2')
    await server.get('/logs/none/checkpoint')
    await server.get('/no/such/route')
    const { text, headers } = await server.get('/metrics')
    expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
    for (const line of [
      'stele_http_requests_total{route="/logs/{log}/add",method="POST",status="200"} 2',
      'stele_http_requests_total{route="/logs/{log}/tile/0/{tile}.p/{width}",method="GET",status="200"} 1',
      'stele_http_requests_total{route="/logs/{log}/checkpoint",method="GET",status="404"} 1',
      'stele_http_requests_total{route="none",method="GET",status="404"} 1',
      'stele_http_request_duration_seconds_count{route="/logs/{log}/add"} 2',
      'stele_tree_size{log="demo"} 2',
      'stele_commits_total{log="demo"} 2',
      'stele_queue_entries{log="demo"} 0',
      'stele_log_open{log="demo"} 1',
      'stele_log_open{log="broken"} 0',
    ]) {
      expect(text).toContain(`${line}\n`)
    }
    expect(text).toMatch(/stele_head_age_seconds\{log="demo"\} 2\.49\d/)
    expect(text).toContain('process_cpu_user_seconds_total')
    expect(text).not.toContain('/no/such/route')
  })

  test('are not there where they are switched off', async () => {
    const app = createApp(BARE)
    expect(app.routes.map((route) => route.path)).toContain('/metrics')
    const route = app.routes.find(({ path }) => path === '/metrics')!
    await expect(async () => route.handle({ search: '', path: {} } as never)).rejects.toThrow('disabled')
  })
})

describe('pages', () => {
  test.each(['/', '/docs'])(
    '%s loads nothing, runs nothing, and its style is named by its hash',
    async (path) => {
      const server = await serve([await openTestLog(), broken])
      const { text, headers } = await server.get(path)
      expect(headers['content-type']).toBe('text/html; charset=utf-8')
      expect(text).not.toMatch(/<script|<link|<img|@import|url\(|\sstyle=|\son\w+=|https?:\/\//)
      const [, style] = /<style>([^]*?)<\/style>/.exec(text)!
      const hash = createHash('sha256').update(style!).digest('base64')
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; /)
      expect(headers['content-security-policy']).toContain(`style-src 'sha256-${hash}'`)
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
    },
  )

  test('the page at the root escapes whatever it shows of a log', async () => {
    const server = await serve([broken])
    const { text } = await server.get('/')
    expect(text).toContain('log.example/&lt;broken&gt;')
    expect(text).toContain('&lt;b&gt;but&lt;/b&gt;')
    expect(text).not.toContain('<b>but')
  })

  test('the docs show every route of the document', async () => {
    const app = createApp(BARE)
    const server = await serve([])
    const { text } = await server.get('/docs')
    for (const { method, path } of app.routes) expect(text).toContain(`id="${method}${path}"`)
  })
})

test('an error that nobody expected is a 500 without its details, and is reported', async () => {
  const hosted = await openTestLog()
  const reported: object[] = []
  const logger = { warn() {}, error: (fields: object) => void reported.push(fields) }
  const log = Object.create(hosted.log, {
    published: {
      get() {
        throw new TypeError('secret detail')
      },
    },
  }) as typeof hosted.log
  const server = await serve([{ ...hosted, log }], { logger })
  for (const path of ['checkpoint', 'ct/v1/get-sth']) {
    const reply = await server.get(`/logs/demo/${path}`)
    expect([reply.status, reply.json()]).toEqual([
      500,
      {
        type: 'about:blank',
        title: 'Internal Server Error',
        status: 500,
        detail: 'the server failed at this request; its log says why',
        code: 'internal',
      },
    ])
  }
  expect(reported).toMatchObject([
    { route: '/logs/{log}/checkpoint', code: 'internal' },
    { route: '/logs/{log}/ct/v1/get-sth', code: 'internal' },
  ])
})
