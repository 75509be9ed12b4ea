import { expect, test } from 'vitest'
import { SteleError } from '../../src/errors.ts'
import { eachOf } from './each.ts'
import { LOG_ROWS } from './oracle.ts'
import { logsOfEachKind, Stage, type Reply } from './stage.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'OPTIONS', 'PUT', 'DELETE'] as const

/** An answer as it came over the wire, but for its time and the name that was asked for. */
function wireOf({ status, rawHeaders, text }: Reply, name: string): unknown {
  // The time, and the number of the request: neither says anything of the log.
  const headers = rawHeaders.filter(
    (_, i) => !['date', 'x-request-id'].includes(rawHeaders[i - (i % 2)]!.toLowerCase()),
  )
  return [status, headers.join('\n'), text.replaceAll(name, '<name>')]
}

/** As long as each other: the length of the answer must not differ either. */
const HIDDEN = 'closed'
const UNUSED = 'absent'

/** Everything that can be asked for below a name. */
function targets(name: string): string[] {
  const values: Readonly<Record<string, string>> = {
    log: name,
    index: '0',
    hash: 'ab'.repeat(32),
    level: '1',
    tile: '000',
    width: '2',
  }
  const known = Object.keys(LOG_ROWS).map((route) =>
    route.split(' ')[1]!.replaceAll(/\{(\w+)\}/g, (_, part: string) => values[part]!),
  )
  const strange = [
    '',
    'v1/entries?begin=-1',
    'v1/checkpoint?after=x&nonsense=1',
    'tile/64/000',
    'tile/0/xyz',
    'nothing/here',
  ]
  const searched = [
    'v1/entries?begin=0',
    'v1/checkpoint?after=0&timeout=0',
    'v1/proofs/inclusion?index=0',
    'checkpoint?x=1',
    'add?x=1',
  ]
  return [
    ...new Set([
      ...known,
      ...[...strange, ...searched].map((rest) => `/logs/${name}/${rest}`),
      `/logs/${name}`,
    ]),
  ]
}

test(
  'a log of which a caller may see nothing answers like a name that nobody uses, byte for byte',
  { timeout: 60_000 },
  async () => {
    const stage = await Stage.open()
    const { key: other } = await stage.key('auditor', ['public'])
    const { key: writer } = await stage.key('writer', ['public', 'halfopen'])
    const ways: Readonly<Record<string, string>>[] = [
      {},
      { origin: 'https://elsewhere.example' },
      { 'if-none-match': '*' },
      { 'accept-encoding': 'gzip', accept: 'text/plain' },
      { authorization: `Bearer ${other}` },
      { authorization: `Bearer ${writer}`, 'content-type': 'application/x-ndjson' },
      { authorization: 'Bearer wrong' },
    ]
    const hidden = targets(HIDDEN)
    const unused = targets(UNUSED)
    const cases = hidden.flatMap((path, i) =>
      METHODS.flatMap((method) => ways.map((headers) => ({ path, twin: unused[i]!, method, headers }))),
    )
    let n = 0
    const differing: unknown[] = []
    await eachOf(16, cases, async ({ path, twin, method, headers }) => {
      const body = method === 'POST' ? 'some bytes' : undefined
      const from = `198.18.${(n >> 7) & 255}.${n++ & 127}`
      const there = wireOf(await stage.ask(method, path, { headers, body, from }), HIDDEN)
      const nowhere = wireOf(await stage.ask(method, twin, { headers, body, from }), UNUSED)
      if (JSON.stringify(there) !== JSON.stringify(nowhere))
        differing.push({ method, path, headers, there, nowhere })
    })
    expect(differing.slice(0, 5)).toEqual([])
    expect(cases.length).toBeGreaterThan(1000)
  },
)

test('the meta log says as much of one as of the other, and as soon', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('reader', ['public'])
  const told = async (name: string): Promise<unknown> => {
    // In a minute of their own, so that each is the first of its kind.
    stage.pass(120_000)
    const before = (await stage.lines()).length
    for (const ask of [{}, { key }]) {
      for (let i = 0; i < 3; i++)
        await stage.ask('GET', `/logs/${name}/checkpoint`, { ...ask, from: '198.18.0.1' })
    }
    const text = JSON.stringify((await stage.lines()).slice(before).filter(({ count }) => count === 1))
    return text.replaceAll(name, '<name>').replaceAll(/"(at|tookMs)":"[^"]*"/g, '')
  }
  expect(await told(HIDDEN)).toEqual(await told(UNUSED))
})

test('while the meta log is down, both are as unknown as each other', async () => {
  const stage = await Stage.open({ metaTarget: () => ({ log: undefined }) })
  const asked = (name: string): Promise<Reply> => stage.ask('GET', `/logs/${name}/checkpoint`)
  expect(wireOf(await asked(HIDDEN), HIDDEN)).toEqual(wireOf(await asked(UNUSED), UNUSED))
  expect((await asked('public')).status).toBe(200)
})

test('lists, pages and readiness name a private log to nobody who may not know of it', async () => {
  const stage = await Stage.open()
  const { key: other } = await stage.key('auditor', ['public', 'meta'])
  const { key: own } = await stage.key('reader', ['closed'])
  for (const path of ['/v1/logs', '/', '/readyz', '/openapi.json', '/docs', '/healthz', '/v1/keys']) {
    for (const key of [undefined, other]) {
      const { text } = await stage.ask('GET', path, { key })
      expect([path, text.includes('logs/closed')]).toEqual([path, false])
      if (path === '/readyz') expect(text).not.toContain('"closed"')
    }
  }
  expect((await stage.ask('GET', '/readyz')).text).not.toContain('private')
  for (const path of ['/v1/logs', '/', '/readyz'])
    expect((await stage.ask('GET', path, { key: own })).text).toContain('closed')
  const { key: operator } = await stage.key('operator')
  expect((await stage.ask('GET', '/metrics', { key: operator })).text).toContain('log="closed"')
  expect((await stage.ask('GET', '/metrics', {})).text).not.toContain('closed')
})

test('a private log that is not well makes the server unready for everyone, and is named to those who may know', async () => {
  const logs = await logsOfEachKind()
  const stage = await Stage.open({
    logs: logs.map((log) => (log.name === 'closed' ? { ...log, log: undefined as never } : log)),
  })
  const { key } = await stage.key('reader', ['closed'])
  const said = await stage.ask('GET', '/readyz')
  expect(said.status).toBe(503)
  expect(JSON.parse(said.text)).toMatchObject({ status: 'not ready' })
  expect(said.text).not.toContain('closed')
  const known = await stage.ask('GET', '/readyz', { key })
  expect([known.status, known.text]).toEqual([503, expect.stringContaining('"name":"closed"')])
})

test('no shared cache may keep what a key has opened', async () => {
  const logs = await logsOfEachKind()
  for (const log of logs) await log.add(...Array.from({ length: 256 }, (_, i) => `entry ${i}`))
  const stage = await Stage.open({ logs })
  const { key } = await stage.key('auditor')
  const asked = Object.entries(LOG_ROWS)
    .filter(([route]) => route.startsWith('GET'))
    .map(([route, { sample }]) => {
      const values: Readonly<Record<string, string>> = { ...sample.path, log: 'closed' }
      return (
        route.split(' ')[1]!.replaceAll(/\{(\w+)\}/g, (_, part: string) => values[part]!) +
        (sample.search ?? '')
      )
    })
  for (const path of [...asked, '/v1/logs', '/', '/readyz', '/v1/keys']) {
    const { status, headers } = await stage.ask('GET', path, { key })
    const caching = headers['cache-control'] ?? ''
    expect([path, caching.includes('public'), caching === '']).toEqual([path, false, false])
    const kept = !caching.includes('no-store')
    if (kept && status === 200)
      expect([path, headers.vary]).toEqual([path, expect.stringContaining('authorization')])
    // What is refused to somebody else is kept by nobody.
    const refused = path.startsWith('/logs/') || path === '/v1/keys'
    const elsewhere = (await stage.ask('GET', path)).headers['cache-control']
    expect([path, elsewhere]).toEqual([
      path,
      refused ? 'no-store' : expect.stringMatching(/^no-(cache|store)$/),
    ])
  }
})

test('an ETag that is known changes nothing for those who may not read', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('reader', ['closed'])
  const etag = (await stage.ask('GET', '/logs/closed/checkpoint', { key })).headers.etag!
  const headers = { 'if-none-match': etag }
  expect((await stage.ask('GET', '/logs/closed/checkpoint', { key, headers })).status).toBe(304)
  expect((await stage.ask('GET', '/logs/closed/checkpoint', { headers })).status).toBe(404)
})

test('why a log or the server is not well is told to keys, without sizes, paths and URLs to others', async () => {
  const reason = 'fork: witness http://10.0.0.7:8080/w saw size 4711, and /var/lib/stele/main/head has 4710'
  const logs = (await logsOfEachKind()).map((log) =>
    log.name === 'halfopen'
      ? { ...log, log: undefined as never, failure: new SteleError('corrupt', reason) }
      : log,
  )
  const disk = { freeBytes: async () => 12_345, minFreeBytes: 67_890 }
  const stage = await Stage.open({ logs, disk })
  const { key: other } = await stage.key('reader', ['public'])
  const { key } = await stage.key('monitor', ['halfopen'])
  const paths = ['/readyz', '/v1/logs', '/v1/logs/halfopen', '/', '/logs/halfopen/checkpoint']
  for (const path of paths) {
    const { text } = await stage.ask('GET', path)
    for (const secret of ['10.0.0.7', '4711', '4710', '/var/lib', '12345', '67890'])
      expect([path, secret, text.includes(secret)]).toEqual([path, secret, false])
    expect([path, (await stage.ask('GET', path, { key })).text.includes('4711')]).toEqual([path, true])
  }
  expect((await stage.ask('GET', '/readyz', { key: other })).text).not.toContain('4711')
  expect((await stage.ask('GET', '/readyz', { key: other })).text).toContain('67890')
})
