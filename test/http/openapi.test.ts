import { expect, test } from 'vitest'
import { Keyring } from '../../src/access/keyring.ts'
import { accessState } from '../../src/access/state.ts'
import { createApp, type App } from '../../src/http/app.ts'
import { createGate, OPEN_GATE } from '../../src/http/gate.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { RequestRates } from '../../src/http/rates.ts'
import { openTestLog } from '../support/log.ts'
import { directoryOf, serve } from './server.ts'

interface Operation {
  readonly operationId?: string
  readonly responses?: Record<string, unknown>
}

function operationsOf({ paths = {} }: App['document']): Operation[] {
  return Object.values(paths).flatMap((item) => Object.values(item) as Operation[])
}

async function testApp(): Promise<App> {
  const logs = directoryOf(await openTestLog())
  return createApp({ gate: OPEN_GATE, logs, limits: DEFAULT_HTTP_LIMITS, nowMs: () => 0 })
}

test('every live route is in the document, and nothing else is', async () => {
  const { router, routes, document } = await testApp()
  // What Koa's router really holds, and what is answered ahead of it.
  const routed = router.stack.flatMap((layer) =>
    layer.methods
      .filter((method) => method !== 'HEAD')
      .map((method) => `${method} ${String(layer.path).replaceAll(/:(\w+)/g, '{$1}')}`),
  )
  const raw = routes
    .filter((route) => route.raw)
    .map((route) => `${route.method.toUpperCase()} ${route.path}`)
  const documented = Object.entries(document.paths ?? {}).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
  expect(raw.length).toBe(7)
  expect([...routed, ...raw].sort()).toEqual(documented.sort())
})

test('every route answers where the document says it is', async () => {
  const hosted = await openTestLog()
  await hosted.add(...Array.from({ length: 260 }, (_, i) => `entry ${i}`))
  const server = await serve([hosted])
  const values: Record<string, string> = {
    log: 'demo',
    index: '0',
    level: '0',
    tile: '000',
    width: '4',
    hash: '00'.repeat(32),
  }
  const { document } = await testApp()
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => values[name]!)
    for (const method of Object.keys(item)) {
      const reply = await (method === 'post' ? server.post(target, 'x') : server.get(target))
      expect([target, reply.text.includes('no such route'), reply.status === 405]).toEqual([
        target,
        false,
        false,
      ])
      const patched = await server.ask(target, { method: 'PATCH' })
      expect([target, patched.status]).toEqual([target, 405])
    }
  }
})

test('the document describes parameters, answers and problems', async () => {
  const { document } = await testApp()
  expect(document.openapi).toBe('3.1.0')
  const operation = document.paths?.['/logs/{log}/ct/v1/get-sth-consistency']?.get
  expect(operation?.parameters).toMatchObject([
    { in: 'path', name: 'log', required: true },
    { in: 'query', name: 'first', required: true, schema: { type: 'integer', minimum: 0 } },
    { in: 'query', name: 'second', required: true },
  ])
  expect(operation?.responses).toMatchObject({
    200: { content: { 'application/json': { schema: { $ref: '#/components/schemas/CtConsistency' } } } },
    400: { content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
  })
})

test('every reference in the document leads somewhere, and every operation has a summary', async () => {
  const { document } = await testApp()
  const text = JSON.stringify(document)
  for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(document.components?.schemas).toHaveProperty(name!)
  }
  for (const item of Object.values(document.paths ?? {})) {
    for (const operation of Object.values(item) as { summary?: string; tags?: string[] }[]) {
      expect(operation.summary).toMatch(/^\S.{5,}[^.]$/)
      expect(operation.tags).toHaveLength(1)
    }
  }
})

test('every operation has an ID of its own, made of its method and path', async () => {
  const { document } = await testApp()
  const ids = operationsOf(document).map(({ operationId }) => operationId)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids).toContain('getRoot')
  expect(ids).toContain('getLogsByLogV1EntriesByIndexProof')
  expect(ids).toContain('getLogsByLogTileEntriesByTilePByWidth')
  for (const id of ids) expect(id).toMatch(/^(get|post)[A-Za-z0-9]+$/)
})

test('the document says which operations take credentials, on an open server and on a closed one', async () => {
  const optional = [{}, { bearer: [] }]
  const needed = [{ bearer: [] }]
  const ofServer = async (openWrites: boolean): Promise<App['document']> => {
    const logs = directoryOf(Object.assign(await openTestLog(), { openWrites }))
    const keyring = new Keyring(accessState([]), { nowMs: () => 0, apply: () => Promise.resolve() })
    const rates = new RequestRates({ perAddress: 0, perKey: 0 }, () => 0)
    const gate = createGate({ logs, keyring, rates, openMetrics: openWrites })
    return createApp({ gate, logs, limits: DEFAULT_HTTP_LIMITS, nowMs: () => 0 }).document
  }
  const [open, closed] = [await ofServer(true), await ofServer(false)]
  expect(closed.components?.securitySchemes).toMatchObject({ bearer: { type: 'http', scheme: 'bearer' } })
  for (const document of [open, closed]) {
    // Whether a log is read without credentials is decided by the log.
    expect(document.paths?.['/logs/{log}/v1/entries']?.get?.security).toEqual(optional)
    expect(document.paths?.['/logs/{log}/checkpoint']?.get?.security).toEqual(optional)
    expect(document.paths?.['/v1/logs']?.get?.security).toEqual(optional)
    expect(document.paths?.['/v1/logs/{log}/scrub']?.get?.security).toEqual(needed)
  }
  expect(open.paths?.['/logs/{log}/add']?.post?.security).toEqual(optional)
  expect(open.paths?.['/metrics']?.get?.security).toEqual(optional)
  expect(closed.paths?.['/logs/{log}/add']?.post?.security).toEqual(needed)
  expect(closed.paths?.['/metrics']?.get?.security).toEqual(needed)
})

test('every operation lists what any request may be refused with, and 403 where credentials may not suffice', async () => {
  const { document } = await testApp()
  for (const { operationId, responses = {} } of operationsOf(document)) {
    expect([operationId, Object.keys(responses)]).toEqual([
      operationId,
      expect.arrayContaining(['401', '421', '429', '500', '503']),
    ])
  }
  expect(document.paths?.['/logs/{log}/v1/entries']?.get?.responses).toHaveProperty('403')
  expect(document.paths?.['/healthz']?.get?.responses).not.toHaveProperty('403')
  expect(document.paths?.['/logs/{log}/checkpoint']?.get?.responses).toHaveProperty('304')
  expect(document.paths?.['/logs/{log}/add']?.post?.responses?.['429']).toHaveProperty([
    'headers',
    'Retry-After',
  ])
})

test('parameters have the type that the server takes', async () => {
  const { document } = await testApp()
  const schemaOf = (path: string, method: 'get' | 'post', name: string): unknown => {
    const parameters = (document.paths?.[path]?.[method]?.parameters ?? []) as {
      name: string
      schema: unknown
    }[]
    return parameters.find((parameter) => parameter.name === name)?.schema
  }
  expect(schemaOf('/logs/{log}/v1/entries', 'post', 'proof')).toEqual({
    type: 'boolean',
    default: false,
    description: expect.any(String),
  })
  const partial = '/logs/{log}/tile/{level}/{tile}.p/{width}'
  expect(schemaOf(partial, 'get', 'tile')).toMatchObject({ type: 'string', pattern: '^[0-9]{3}$' })
  expect(schemaOf(partial, 'get', 'level')).toMatchObject({ type: 'integer', minimum: 0, maximum: 63 })
  expect(schemaOf(partial, 'get', 'width')).toMatchObject({ type: 'integer', minimum: 1, maximum: 255 })
})

test('a body is required where the server refuses a request without one', async () => {
  const { document } = await testApp()
  const isRequired = (path: string): unknown =>
    (document.paths?.[path]?.post?.requestBody as { required?: boolean } | undefined)?.required
  expect(isRequired('/logs/{log}/v1/batches')).toBe(true)
  // An entry may be empty.
  expect(isRequired('/logs/{log}/v1/entries')).toBe(false)
})

test('openapi.json is that document', async () => {
  const server = await serve([await openTestLog()])
  const reply = await server.get('/openapi.json')
  expect(reply.headers['content-type']).toBe('application/json')
  expect(reply.json()).toEqual(JSON.parse(JSON.stringify((await testApp()).document)))
})
