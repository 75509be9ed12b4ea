import { expect, test } from 'vitest'
import { BodyBudget } from '../../src/http/body.ts'
import { NDJSON } from '../../src/http/batch.ts'
import { codeOf } from '../note/expect-code.ts'
import { openTestLog } from '../support/log.ts'
import { serve, type RawConnection } from './server.ts'

const ADD = 'POST /logs/demo/add HTTP/1.1'

/** Status, headers and body of an answer as it came. */
function partsOf(answer: string): { status: number; head: string; problem: Record<string, unknown> } {
  const [head = '', body = ''] = answer.split('\r\n\r\n')
  return {
    status: Number(head.split(' ')[1]),
    head: head.toLowerCase(),
    problem: JSON.parse(body || '{}') as Record<string, unknown>,
  }
}

async function refusal(connection: RawConnection): Promise<ReturnType<typeof partsOf>> {
  return partsOf(await connection.closed)
}

test('a body that ends before its announced length is refused, and nothing is stored', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const connection = await server.connect()
  connection.send([ADD, 'Content-Length: 100'], 'only this')
  connection.socket.end()
  const { status, problem } = await refusal(connection)
  expect([status, problem['code']]).toEqual([400, 'malformed'])
  expect(problem['detail']).toBe('request: expected HTTP/1.1, and a body exactly as long as announced')
  expect(hosted.log.integrated.size).toBe(0)
})

test('a body that goes on behind its announced length is refused, and nothing is stored', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const connection = await server.connect()
  connection.send([ADD, 'Content-Length: 4'], 'more than four bytes')
  const { status, problem } = await refusal(connection)
  expect([status, problem['code']]).toEqual([400, 'malformed'])
  expect(hosted.log.integrated.size).toBe(0)
})

test('a chunked body is an entry like any other', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const connection = await server.connect()
  connection.send([ADD, 'Transfer-Encoding: chunked'], '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n')
  expect(await connection.hear('\r\n\r\n0')).toContain('HTTP/1.1 200 OK')
  expect(Buffer.from((await hosted.log.readEntries(0, 1))[0]!).toString()).toBe('abcde')
})

test('a chunked body above the limit is refused while it comes', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const connection = await server.connect()
  const chunk = `${(65_536).toString(16)}\r\n${'x'.repeat(65_536)}\r\n`
  connection.send([ADD, 'Transfer-Encoding: chunked'], chunk)
  await connection.hear('}')
  connection.socket.end()
  const { status, head, problem } = await refusal(connection)
  expect([status, problem['code'], problem['detail']]).toEqual([
    413,
    'too_large',
    'entry: expected at most 65535 bytes, got more',
  ])
  expect(head).toContain('connection: close')
  expect(hosted.log.integrated.size).toBe(0)
})

test('a caller who sends far too much still gets to read why it was refused', async () => {
  const server = await serve([await openTestLog()])
  const connection = await server.connect()
  connection.send([ADD, `Content-Length: ${2 * 1024 * 1024}`], 'x'.repeat(2 * 1024 * 1024))
  expect((await refusal(connection)).status).toBe(413)
})

test('a client that goes away half-way leaves nothing behind', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const half = await server.connect()
  half.send([ADD, 'Content-Length: 100'], 'half of it')
  const chunked = await server.connect()
  chunked.send(
    ['POST /logs/demo/v1/batches HTTP/1.1', `Content-Type: ${NDJSON}`, 'Transfer-Encoding: chunked'],
    '4\r\na\nb\n\r\n',
  )
  await server.get('/healthz')
  half.socket.resetAndDestroy()
  chunked.socket.resetAndDestroy()
  expect((await server.post('/logs/demo/add', 'next')).text).toBe('0')
  expect(hosted.log.integrated.size).toBe(1)
})

test('a body slower than allowed is refused and its connection closed', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted], { limits: { bodyTimeoutMs: 50 } })
  for (const path of ['add', 'v1/entries', 'v1/batches']) {
    const connection = await server.connect()
    connection.send(
      [
        `POST /logs/demo/${path} HTTP/1.1`,
        'Content-Length: 100',
        `Content-Type: ${path === 'v1/batches' ? NDJSON : 'text/plain'}`,
      ],
      'slow',
    )
    const { status, head, problem } = await refusal(connection)
    expect([status, problem['code']]).toEqual([408, 'too_slow'])
    expect(problem['detail']).toMatch(/^(entry|batch): expected all of it within 50 ms$/)
    expect(head).toContain('connection: close')
  }
  expect(hosted.log.integrated.size).toBe(0)
})

test('a compressed body is refused, for its bytes are not the entry', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const reply = await server.post('/logs/demo/add', 'x', { 'content-encoding': 'gzip' })
  expect([reply.status, reply.json()['detail']]).toEqual([
    415,
    'entry: expected no Content-Encoding, got "gzip"',
  ])
  expect((await server.post('/logs/demo/add', 'x', { 'content-encoding': 'identity' })).status).toBe(200)
})

test('a sender who waits for 100 Continue gets it once, and only where the body is welcome', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted])
  const welcome = await server.connect()
  welcome.send([ADD, 'Content-Length: 5', 'Expect: 100-continue'])
  expect(await welcome.hear('\r\n\r\n')).toBe('HTTP/1.1 100 Continue\r\n\r\n')
  welcome.socket.write('hello')
  expect((await welcome.hear('\r\n\r\n0')).match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 100', 'HTTP/1.1 200'])
  for (const [request, status] of [
    [[ADD, 'Content-Length: 65536'], 413],
    [['POST /logs/none/add HTTP/1.1', 'Content-Length: 5'], 404],
    [['POST /logs/demo/v1/batches HTTP/1.1', 'Content-Length: 5'], 415],
  ] as const) {
    const refused = await server.connect()
    refused.send([...request, 'Expect: 100-continue'])
    expect((await refused.hear('\r\n\r\n')).match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`])
  }
})

test('bodies being read share one budget, and whoever comes past it is told when to try again', async () => {
  const hosted = await openTestLog()
  const server = await serve([hosted], { limits: { maxBodyBytesInFlight: 1000 } })
  const reply = await server.post('/logs/demo/add', 'x'.repeat(1001))
  expect([reply.status, reply.json()['code'], reply.headers['retry-after']]).toEqual([503, 'overloaded', '2'])
  const share = await server.post('/logs/demo/add', 'x'.repeat(501))
  expect([share.status, share.json()['code'], share.headers['retry-after']]).toEqual([
    429,
    'rate_limited',
    '2',
  ])
  expect((await server.post('/logs/demo/add', 'x'.repeat(500))).status).toBe(200)
  expect(hosted.log.integrated.size).toBe(1)
})

test('the budget counts each caller and all of them, and takes back what was given', () => {
  const budget = new BodyBudget(100)
  budget.take('a', 50)
  expect(codeOf(() => budget.take('a', 1))).toBe('rate_limited')
  budget.take('b', 50)
  expect(codeOf(() => budget.take('c', 1))).toBe('overloaded')
  budget.release('a', 50)
  budget.take('c', 50)
  budget.release('b', 50)
  budget.release('c', 50)
  expect(budget.bytes).toBe(0)
})

test('what is not HTTP is answered all the same', async () => {
  const server = await serve([await openTestLog()])
  const garbage = await server.connect()
  garbage.socket.write('this is no request\r\n\r\n')
  expect(await refusal(garbage)).toMatchObject({ status: 400, problem: { code: 'malformed' } })
  const long = await server.connect()
  long.send(['GET / HTTP/1.1', `X: ${'x'.repeat(20_000)}`])
  expect(await refusal(long)).toMatchObject({ status: 431, problem: { code: 'too_large' } })
})
