import { createServer, type AddressInfo, type Socket } from 'node:net'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import {
  EntrySource,
  Histogram,
  Load,
  parseTarget,
  PathReader,
  requestHead,
  Sample,
  Writers,
  type BenchResult,
} from '../../src/load/index.ts'
import { parseAnswer } from '../../src/load/connection.ts'
import { dataFolder, lines, serve, stele } from '../cli/fixture.ts'

test('quantiles are within one part in 64 of the exact ones', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 2e9 }), { minLength: 1, maxLength: 300 }), (times) => {
      const histogram = new Histogram()
      for (const us of times) histogram.record(us / 1000)
      const sorted = [...times].sort((a, b) => a - b)
      for (const share of [0.5, 0.99, 0.999, 1]) {
        const exact = sorted[Math.ceil(times.length * share) - 1]! / 1000
        const found = histogram.quantileMs(share)
        expect(found).toBeGreaterThanOrEqual(exact)
        expect(found).toBeLessThanOrEqual(exact * (1 + 1 / 64) + 0.001)
      }
    }),
  )
  expect(new Histogram().quantileMs(0.99)).toBe(0)
})

test('answers are read however they are cut, and only whole', () => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\ncontent-length: 5\r\n\r\n12345'
  for (let cut = 0; cut < text.length; cut++)
    expect(parseAnswer(Buffer.from(text.slice(0, cut)))).toBeUndefined()
  expect(parseAnswer(Buffer.from(`${text}HTTP/1.1`))).toMatchObject({
    status: 200,
    length: text.length,
    last: false,
  })
  const refusal = 'HTTP/1.1 503 No\r\nRetry-After: 7\r\nconnection: close\r\nContent-Length: 0\r\n\r\n'
  expect(parseAnswer(Buffer.from(refusal))).toMatchObject({ status: 503, retryAfterSeconds: 7, last: true })
  expect(parseAnswer(Buffer.from('HTTP/1.1 204 No\r\n\r\n'))).toMatchObject({ status: 204 })
  for (const bad of ['SSH-2.0\r\n\r\n', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n']) {
    expect(() => parseAnswer(Buffer.from(bad))).toThrow(
      expect.objectContaining({ code: 'unexpected_answer' }) as Error,
    )
  }
})

test('entries are unique, of one length, and can be made again', () => {
  const source = new EntrySource(40)
  const into = Buffer.alloc(100)
  const made = new Set<string>()
  for (let i = 0; i < 1000; i++) {
    const number = source.writeNext(into, 30)
    const entry = into.toString('latin1', 30, 70)
    expect(Buffer.from(source.entry(number)).toString('latin1')).toBe(entry)
    made.add(entry)
  }
  expect(made.size).toBe(1000)
  expect(new EntrySource(24).entry(0)).not.toEqual(new EntrySource(24).entry(0))
  expect(() => new EntrySource(23)).toThrow('24 to 65535')
})

test('a sample keeps as many as it may, each with the same chance', () => {
  const counts = Array.from({ length: 10 }, () => 0)
  for (let run = 0; run < 2000; run++) {
    const sample = new Sample<number>(3)
    for (let i = 0; i < 10; i++) sample.offer(() => i)
    expect(sample.kept).toHaveLength(3)
    for (const i of sample.kept) counts[i]!++
  }
  // 600 expected of each; 100 are more than four standard deviations.
  for (const count of counts) expect(Math.abs(count - 600)).toBeLessThan(100)
})

test('the load generator speaks plain HTTP only', () => {
  expect(parseTarget('http://[::1]:6962/logs/main')).toEqual({
    host: '::1',
    port: 6962,
    authority: '[::1]:6962',
    prefix: '/logs/main/',
  })
  expect(() => parseTarget('https://log.example/')).toThrow('TLS')
})

/** A server of which a test decides what it says, and the requests that it got. */
async function saying(
  answer: (n: number, socket: Socket) => string,
): Promise<{ port: number; requests: string[] }> {
  const requests: string[] = []
  const server = createServer((socket) => {
    socket.on('data', (bytes: Buffer) => socket.write(answer(requests.push(bytes.toString()), socket)))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { port: (server.address() as AddressInfo).port, requests }
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Runs a load until the server has seen so many requests. */
async function loadUntil(
  seen: number,
  answer: (n: number, socket: Socket) => string,
  rate?: number,
): Promise<Load> {
  let reached = (): void => {}
  const enough = new Promise<void>((resolve) => (reached = resolve))
  const { port } = await saying((n, socket) => {
    if (n === seen) reached()
    return answer(n, socket)
  })
  const target = parseTarget(`http://127.0.0.1:${port}/logs/main`)
  const exchange = (): PathReader => new PathReader(target, ['checkpoint'], 2)
  const load = new Load({ target, connections: 2, exchange, ratePerSecond: rate })
  load.start()
  await enough
  await load.stop()
  return load
}

test('good answers are counted, refusals are no failures, wrong ones are named', async () => {
  const { meter } = await loadUntil(30, (n) => {
    if (n === 5) return 'HTTP/1.1 429 Slow\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n'
    if (n === 6) return 'HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n'
    return n === 7 ? OK.replace('2\r\n\r\nok', '3\r\n\r\nok!') : OK
  })
  expect(meter.refused).toBe(1)
  expect([...meter.failures]).toEqual([
    ['status 500', 1],
    ['3 bytes instead of 2', 1],
  ])
  expect(meter.answered + meter.refused + meter.failed).toBeGreaterThanOrEqual(30)
  expect(meter.latency.count).toBe(meter.answered)
})

test('a connection that is closed in the middle is a failure and is made again', async () => {
  const { meter } = await loadUntil(20, (n, socket) => {
    if (n === 3) socket.destroy()
    return OK
  })
  expect([...meter.failures.values()]).toEqual([1])
  expect(meter.answered).toBeGreaterThanOrEqual(17)
})

test('at a fixed rate a stall counts for every request that was due meanwhile', async () => {
  let stalledUntil = 0
  const { meter } = await loadUntil(
    60,
    (n) => {
      // The whole process stands still for 100 ms: no request that was due then can be quick.
      if (n === 20) for (stalledUntil = performance.now() + 100; performance.now() < stalledUntil;);
      return OK
    },
    500,
  )
  const slow = meter.latency.count - countBelow(meter.latency, 20)
  expect(slow).toBeGreaterThan(20)
})

function countBelow(histogram: Histogram, ms: number): number {
  let below = 0
  while (below < histogram.count && histogram.quantileMs((below + 1) / histogram.count) < ms) below++
  return below
}

test('a writer objects to receipts that cannot be right', () => {
  const writers = new Writers(parseTarget('http://x/'), new EntrySource(24), new Sample(4))
  const check = (body: string, status = 200): string | undefined => {
    const exchange = writers.exchange(1)
    exchange.request()
    return exchange.check({
      status,
      body: Buffer.from(body),
      length: 0,
      retryAfterSeconds: undefined,
      last: false,
    })
  }
  expect(check('', 404)).toBe('status 404')
  expect(check('{"treeSize":1}')).toMatch('index')
  expect(check('{"index":1,"duplicate":true}')).toMatch('duplicate')
  expect(check(`{"index":1,"leafHash":"${'0'.repeat(64)}","duplicate":false}`)).toMatch('leaf hash')
  expect(requestHead(parseTarget('http://x/l'), 'GET', 'a').toString()).toBe(
    'GET /l/a HTTP/1.1\r\nHost: x\r\n\r\n',
  )
})

test('bench loads a log and verifies what it was told', async () => {
  const { flags } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  const options = ['--warmup', '0', '--duration', '1', '--json']
  const { code, out, err } = await stele([
    'bench',
    '--writers',
    '4',
    '--readers',
    '2',
    '--read-by',
    'hash',
    ...options,
    ...flags,
  ])
  expect([code, err]).toEqual([0, ''])
  const result = JSON.parse(out) as BenchResult
  expect(result).toMatchObject({
    batch: 1,
    entryBytes: 300,
    writes: { refused: 0, failures: {} },
    reads: { failures: {} },
  })
  expect(result.writes.latencyMs.p99).toBeGreaterThanOrEqual(result.writes.latencyMs.p50)
  expect(result.treeSize.after - 300).toBeGreaterThanOrEqual(result.entries)
  expect(result.verified.receipts).toBeGreaterThan(0)
  expect(result.verified.reads).toBeGreaterThan(0)
  const batches = await stele(['bench', '--writers', '1', '--batch', '50', ...options, ...flags])
  expect(JSON.parse(batches.out)).toMatchObject({
    batch: 50,
    writes: { failures: {} },
    verified: { reads: 0 },
  })
})
