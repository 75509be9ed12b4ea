import { expect, test } from 'vitest'
import type { LogStore } from '../../src/storage/store.ts'
import { instead } from '../support/instead.ts'
import { openTestLog } from '../support/log.ts'
import { serve } from './server.ts'

test('200 idle or slow connections do not stop a normal client', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const starts = [
    '',
    'GET /logs/demo/checkp',
    'POST /logs/demo/add HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\nslow',
    'POST /logs/demo/v1/batches HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na\nb\n',
  ]
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => (await server.connect()).socket.write(starts[i % 4]!)),
  )
  const replies = await Promise.all(
    Array.from({ length: 50 }, (_, i) => server.post('/logs/demo/add', `entry ${i}`)),
  )
  expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 200))
  expect((await server.get('/logs/demo/checkpoint')).text).toContain('\n50\n')
})

test('more connections than allowed are closed, and room that becomes free is given again', async () => {
  const server = await serve([await openTestLog()], { limits: { maxConnections: 2 } })
  const first = await server.connect()
  await server.connect()
  const third = await server.connect()
  expect(await third.closed).toBe('')
  first.socket.destroy()
  await expect
    .poll(() =>
      server.get('/healthz').then(
        ({ status }) => status,
        () => 0,
      ),
    )
    .toBe(200)
})

test('a head of a request that does not come is answered in time', async () => {
  const server = await serve([await openTestLog()], { limits: { headersTimeoutMs: 100 } })
  const connection = await server.connect()
  connection.socket.write('GET /healthz HTT')
  expect(await connection.closed).toMatch(/^HTTP\/1\.1 408 [^]*"code":"too_slow"/)
})

test('while a log cannot commit, its queue stays bounded, and callers are told when to try again', async () => {
  let release = (): void => {}
  const stuck = new Promise<void>((resolve) => (release = resolve))
  const hosted = await openTestLog({
    pool: { maxEntries: 20, maxBytes: 1024 * 1024, maxCommitEntries: 10, maxCommitBytes: 1024 * 1024 },
    wrapStore: (store) => committingAfter(store, stuck),
  })
  const server = await serve([hosted])
  const accepted = Array.from({ length: 20 }, (_, i) => server.post('/logs/demo/add', `entry ${i}`))
  await expect.poll(() => hosted.log.status.queuedEntries).toBe(20)
  const refused = await Promise.all(
    Array.from({ length: 30 }, (_, i) => server.post('/logs/demo/v1/entries', `late ${i}`)),
  )
  for (const reply of refused) {
    expect([reply.status, reply.json()['code']]).toEqual([503, 'overloaded'])
    expect(Number(reply.headers['retry-after'])).toBeGreaterThanOrEqual(1)
  }
  expect(hosted.log.status.queuedEntries).toBe(20)
  release()
  expect((await Promise.all(accepted)).map(({ status }) => status)).toEqual(Array(20).fill(200))
  expect(hosted.log.published.size).toBe(20)
})

test('one caller cannot fill the queue of a log', async () => {
  let release = (): void => {}
  const stuck = new Promise<void>((resolve) => (release = resolve))
  const hosted = await openTestLog({
    pool: { maxEntries: 1000, maxBytes: 10_000, maxCommitEntries: 10, maxCommitBytes: 10_000 },
    wrapStore: (store) => committingAfter(store, stuck),
  })
  const server = await serve([hosted])
  const accepted = Array.from({ length: 4 }, (_, i) => server.post('/logs/demo/add', `${i}`.repeat(500)))
  await expect.poll(() => hosted.log.status.queuedEntries).toBe(4)
  const reply = await server.post('/logs/demo/add', 'z'.repeat(500))
  expect([reply.status, reply.json()['code'], reply.headers['retry-after']]).toEqual([
    429,
    'rate_limited',
    expect.stringMatching(/^\d+$/),
  ])
  release()
  await Promise.all(accepted)
  expect((await server.post('/logs/demo/add', 'z'.repeat(500))).status).toBe(200)
})

test('a log that stops while entries wait answers every one of them', async () => {
  const hosted = await openTestLog({
    wrapStore: (store) => committingAfter(store, Promise.reject(new Error('disk full'))),
  })
  const server = await serve([hosted])
  const first = await server.post('/logs/demo/add', 'x')
  expect([first.status, first.json()['code'], first.headers['retry-after']]).toEqual([
    503,
    'outcome_unknown',
    '5',
  ])
  const next = await server.post('/logs/demo/add', 'y')
  expect([next.status, next.json()['code']]).toEqual([503, 'log_halted'])
  expect((await server.get('/logs/demo/checkpoint')).status).toBe(200)
  expect((await server.get('/readyz')).status).toBe(503)
})

/** A store whose commits wait for something, after the one that makes the log. */
function committingAfter(store: LogStore, gate: Promise<void>): LogStore {
  gate.catch(() => {})
  return instead(store, {
    async commit(step) {
      await gate
      return store.commit(step)
    },
  })
}
