import { describe, expect, test } from 'vitest'
import { gzipSync } from 'node:zlib'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import { createWitnessMetrics } from '../../src/witness/metrics.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import { formatNote, parseNote } from '../../src/note/note.ts'
import { originHash } from '../../src/witness/logs.ts'
import { HeadStore, memoryWitnessStore } from '../../src/witness/store.ts'
import { addCheckpoint, FakeLog, testSigner } from './fake-log.ts'
import { ED25519, ML_DSA, NOW_SECONDS, testWitness } from './fixture.ts'
import { serveWitness } from './server.ts'

const log = new FakeLog('log.example/demo', 40)
const ADD = '/add-checkpoint'
const MAX = 128 * 1024

/** A signed checkpoint with `count` more lines by post-quantum witnesses. */
async function withPostQuantumLines(size: number, count: number): Promise<string> {
  const { text, signatures } = parseNote(await log.checkpoint(size))
  const lines = Array.from({ length: count }, (_, i) =>
    generateCosignerKey(
      `witness.example/${i}`,
      KEY_TYPE.mlDsa44Cosignature,
      new Uint8Array(32).fill(i + 100),
    ),
  ).map((key) => key.cosign(text, NOW_SECONDS))
  return formatNote({ text, signatures: [...lines, ...signatures] })
}

/** A body of exactly so many bytes, whose surplus is a signed extension line. */
async function bodyOf(bytes: number): Promise<Uint8Array> {
  const build = async (length: number): Promise<Uint8Array> =>
    addCheckpoint(0, [], await log.checkpoint(7, { extensions: ['x'.repeat(length)] }))
  const { length } = await build(1)
  return build(1 + bytes - length)
}

test('one who sends 200 requests ahead and reads nothing is cut off, and others are served', async () => {
  const server = await serveWitness(testWitness([log]).witness)
  const connection = await server.connect()
  connection.socket.pause()
  connection.socket.write('GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(200))
  await new Promise((resolve) => connection.socket.once('close', resolve))
  expect((await server.get('/healthz')).status).toBe(200)
})

describe('statuses and content types', () => {
  test('200 has signature lines as text', async () => {
    const server = await serveWitness(testWitness([log], { keys: [ED25519, ML_DSA] }).witness)
    const reply = await server.post(ADD, await log.request(0, 7))
    expect([reply.status, reply.headers['content-type'], reply.headers['cache-control']]).toEqual([
      200,
      'text/plain; charset=utf-8',
      'no-store',
    ])
    expect(reply.text).toMatch(/^(— witness\.example\/w1 [A-Za-z0-9+/=]+\n){2}$/)
  })

  test('409 has the size, a line feed, and exactly the content type of the specification', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    await server.post(ADD, await log.request(0, 7))
    const reply = await server.post(ADD, await log.request(0, 12))
    expect([reply.status, reply.headers['content-type'], reply.text]).toEqual([
      409,
      'text/x.tlog.size',
      '7\n',
    ])
  })

  test('refusals are problem details with a code', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    await server.post(ADD, await log.request(0, 7))
    const stranger = await log.checkpoint(12, { signers: [testSigner(log.origin, 5)] })
    const unknown = new FakeLog('log.example/unknown', 3)
    const cases: [string | Uint8Array, number, string][] = [
      ['garbage', 400, 'malformed'],
      [addCheckpoint(9, [], await log.checkpoint(8)), 400, 'out_of_range'],
      [addCheckpoint(7, [], stranger), 403, 'untrusted_signer'],
      [await unknown.request(0, 3), 404, 'not_found'],
      [addCheckpoint(7, [], await log.checkpoint(12)), 422, 'bad_proof'],
      [await log.fork(3).request(7, 7), 422, 'fork'],
    ]
    for (const [body, status, code] of cases) {
      const reply = await server.post(ADD, body)
      expect([reply.status, reply.headers['content-type']]).toEqual([status, 'application/problem+json'])
      expect(reply.json()).toMatchObject({ status, code, detail: expect.stringMatching(/./) as string })
    }
  })

  test('other methods and paths are told what there is', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    const got = await server.get(ADD)
    expect([got.status, got.headers['allow']]).toEqual([405, 'POST, OPTIONS'])
    const posted = await server.post(`/${originHash(log.origin)}/checkpoint`, '')
    expect([posted.status, posted.headers['allow']]).toEqual([405, 'GET, HEAD, OPTIONS'])
    for (const path of [
      '/x',
      '/add-checkpoint/',
      '//add-checkpoint',
      '/{hash}/checkpoint',
      '/a/checkpoint',
      '/%61dd-checkpoint',
    ]) {
      expect([path, (await server.get(path)).status]).toEqual([path, 404])
    }
  })
})

describe('the checkpoint of a log', () => {
  test('is what was cosigned last, and not found before that', async () => {
    const { witness, served } = testWitness([log])
    const server = await serveWitness(witness)
    const path = `/${originHash(log.origin)}/checkpoint`
    const before = await server.get(path)
    expect([before.status, before.headers['cache-control']]).toEqual([404, 'no-store'])
    await server.post(ADD, await log.request(0, 7))
    const reply = await server.get(path)
    expect([
      reply.status,
      reply.headers['content-type'],
      reply.headers['access-control-allow-origin'],
    ]).toEqual([200, 'text/plain; charset=utf-8', '*'])
    expect(reply.text).toBe(formatNote(served(log)!))
    const head = await server.ask(path, { method: 'HEAD' })
    expect([head.status, head.text, head.headers['content-length']]).toEqual([
      200,
      '',
      String(reply.bytes.length),
    ])
    expect((await server.get(path.toUpperCase())).status).toBe(404)
  })
})

describe('bodies', () => {
  test('a checkpoint with 16 post-quantum signatures is cosigned', async () => {
    const server = await serveWitness(testWitness([log], { keys: [ED25519, ML_DSA] }).witness)
    const note = await withPostQuantumLines(7, 16)
    expect(encodeUtf8(note).length).toBeGreaterThan(50_000)
    expect((await server.post(ADD, addCheckpoint(0, [], note))).status).toBe(200)
  })

  test('a body at the limit is read and one byte more is refused, announced or not', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    const most = await bodyOf(MAX)
    expect(most.length).toBe(MAX)
    const over = await bodyOf(MAX + 1)
    const chunked = { 'transfer-encoding': 'chunked' }
    expect((await server.post(ADD, over)).status).toBe(413)
    expect((await server.post(ADD, over, chunked)).status).toBe(413)
    expect((await server.post(ADD, new Uint8Array(3_000_000), chunked)).status).toBe(413)
    expect((await server.post(ADD, most)).status).toBe(200)
  })

  test('a compressed body is refused without being looked at', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    const bomb = gzipSync(Buffer.alloc(10_000_000))
    for (const encoding of ['gzip', 'deflate', 'br', 'zstd']) {
      expect((await server.post(ADD, bomb, { 'content-encoding': encoding })).status).toBe(415)
    }
    const body = await log.request(0, 7)
    expect((await server.post(ADD, body, { 'content-encoding': 'identity' })).status).toBe(200)
  })

  test('a body that does not come is given up in time, and others are served meanwhile', async () => {
    const server = await serveWitness(testWitness([log]).witness, { limits: { bodyTimeoutMs: 150 } })
    const slow = await server.connect()
    slow.send(['POST /add-checkpoint HTTP/1.1', 'Content-Length: 500'], 'old 0\n')
    expect((await server.post(ADD, await log.request(0, 7))).status).toBe(200)
    expect(await slow.closed).toMatch(/^HTTP\/1\.1 408 [^]*"code":"too_slow"/)
  })

  test('what is not HTTP, or not as long as announced, signs nothing', async () => {
    const { witness, served } = testWitness([log])
    const server = await serveWitness(witness)
    const garbage = await server.connect()
    garbage.socket.write('\u0016\u0003\u0001 hello\r\n\r\n')
    expect(await garbage.closed).toMatch(/^HTTP\/1\.1 400 /)
    const cut = await server.connect()
    const body = Buffer.from(await log.request(0, 7)).toString('latin1')
    cut.send(['POST /add-checkpoint HTTP/1.1', `Content-Length: ${body.length + 10}`], body)
    cut.socket.end()
    await cut.closed
    expect(served(log)).toBeUndefined()
  })
})

describe('limits', () => {
  test('a caller who asks too often is told when to come back, and what is read is not limited', async () => {
    const { witness } = testWitness([log])
    const limits = { callerRequestsPerSecond: 0.01, callerBurst: 3 }
    const server = await serveWitness(witness, { limits })
    const body = await log.request(0, 7)
    const statuses: number[] = []
    for (let i = 0; i < 5; i++) statuses.push((await server.post(ADD, body)).status)
    expect(statuses).toEqual([200, 409, 409, 429, 429])
    const reply = await server.post('/sign-subtree', 'x')
    expect([reply.status, reply.json()['code']]).toEqual([429, 'rate_limited'])
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(1)
    expect((await server.get(`/${originHash(log.origin)}/checkpoint`)).status).toBe(200)
  })

  test('a hundred logs at once are all cosigned', async () => {
    const logs = Array.from({ length: 100 }, (_, i) => new FakeLog(`log.example/${i}`, 9))
    const made = testWitness(logs)
    const server = await serveWitness(made.witness)
    const add = async (from: number, to: number): Promise<number[]> =>
      Promise.all(logs.map(async (each) => (await server.post(ADD, await each.request(from, to))).status))
    expect(new Set(await add(0, 4))).toEqual(new Set([200]))
    expect(new Set(await add(4, 9))).toEqual(new Set([200]))
    expect(logs.map((each) => made.served(each)?.text.split('\n')[1])).toEqual(logs.map(() => '9'))
  })

  test('a log whose requests pile up gets 429, and other logs are served', async () => {
    let release = (): void => {}
    const stuck = new Promise<void>((resolve) => (release = resolve))
    const other = new FakeLog('log.example/other', 9)
    const write = (hash: string): Promise<void> =>
      hash === originHash(log.origin) ? stuck : Promise.resolve()
    const store = new HeadStore(new Map(), { write, async close() {} })
    const server = await serveWitness(testWitness([log, other], { store }).witness)
    const body = await log.request(0, 7)
    const waiting = Array.from({ length: 80 }, () => server.post(ADD, body))
    expect((await Promise.race(waiting)).status).toBe(429)
    expect((await server.post(ADD, await other.request(0, 3))).status).toBe(200)
    release()
    const statuses = (await Promise.all(waiting)).map(({ status }) => status)
    expect([200, 409, 429].map((status) => statuses.filter((each) => each === status).length)).toEqual([
      1, 63, 16,
    ])
  })
})

describe('the instance', () => {
  test('a witness whose disk failed says so everywhere, and still serves what it cosigned', async () => {
    let broken = false
    const store = new HeadStore(new Map(), {
      async write() {
        if (broken) throw new Error('disk full')
      },
      async close() {},
    })
    const metrics = createWitnessMetrics(store, () => NOW_SECONDS * 1000)
    const { witness } = testWitness([log], { store })
    const server = await serveWitness(witness, { metrics })
    await server.post(ADD, await log.request(0, 7))
    expect((await server.get('/readyz')).json()).toEqual({ status: 'ready' })
    broken = true
    const codes: unknown[] = []
    for (let i = 0; i < 2; i++) {
      const reply = await server.post(ADD, await log.request(7, 12))
      codes.push([reply.status, reply.json()['code'], reply.text.includes('—')])
    }
    expect(codes).toEqual([
      [503, 'outcome_unknown', false],
      [503, 'log_halted', false],
    ])
    expect((await server.get('/readyz')).status).toBe(503)
    expect((await server.get('/healthz')).status).toBe(200)
    expect((await server.get('/metrics')).text).toMatch(/^stele_witness_signing 0$/m)
    expect((await server.get(`/${originHash(log.origin)}/checkpoint`)).text).toContain('\n7\n')
  })

  test('metrics have sizes, ages, requests and contradictions', async () => {
    const store = memoryWitnessStore()
    const metrics = createWitnessMetrics(store, () => (NOW_SECONDS + 30) * 1000)
    const { witness } = testWitness([log], {
      store,
      events: { contradiction: ({ log: { origin }, kind }) => metrics.contradiction(origin, kind, 'kept') },
    })
    const server = await serveWitness(witness, { metrics })
    await server.post(ADD, await log.request(0, 7))
    await server.post(ADD, await log.fork(3).request(7, 7))
    const { text } = await server.get('/metrics')
    expect(text).toContain('stele_witness_tree_size{origin="log.example/demo"} 7\n')
    expect(text).toContain('stele_witness_cosigned_age_seconds{origin="log.example/demo"} 30\n')
    expect(text).toContain(
      'stele_witness_contradictions_total{origin="log.example/demo",kind="fork",evidence="kept"} 1\n',
    )
    expect(text).toContain(
      'stele_http_requests_total{route="/add-checkpoint",method="POST",status="422"} 1\n',
    )
    expect(text).toContain('stele_witness_signing 1\n')
  })

  test('the first page names the keys and the logs', async () => {
    const server = await serveWitness(testWitness([log]).witness)
    const { text } = await server.get('/')
    expect(text).toContain('witness.example/w1+')
    expect(text).toContain('\nlog.example/demo\n')
  })
})
