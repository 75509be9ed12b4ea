import { expect, test } from 'vitest'
import { createApp, type App } from '../../src/http/app.ts'
import { OPEN_GATE } from '../../src/http/gate.ts'
import { DEFAULT_HTTP_LIMITS } from '../../src/http/limits.ts'
import { openTestLog } from '../support/log.ts'
import { directoryOf, serve } from './server.ts'

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

test('openapi.json is that document', async () => {
  const server = await serve([await openTestLog()])
  const reply = await server.get('/openapi.json')
  expect(reply.headers['content-type']).toBe('application/json')
  expect(reply.json()).toEqual(JSON.parse(JSON.stringify((await testApp()).document)))
})
