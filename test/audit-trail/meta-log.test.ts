import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { expect, test } from 'vitest'
import { generateApiKey } from '../../src/access/api-key.ts'
import { SteleError } from '../../src/errors.ts'
import { MetaLog } from '../../src/audit-trail/meta-log.ts'
import { readTrailState, REMINDER_PAGES, TrailAccounts } from '../../src/audit-trail/trail-state.ts'
import { instead } from '../support/instead.ts'
import { openTestLog, TEST_NOW_MS } from '../support/log.ts'
import { crowding, guessing } from '../access/crowd.ts'
import { eachOf } from '../access/each.ts'
import { linesOf, Stage, type Line } from '../access/stage.ts'

const PAGE_BYTES = 32 * 1024
const isRequest = ({ kind }: Line): boolean => kind === 'request'

test(
  'each of thousands of concurrent requests with a key has exactly one line',
  { timeout: 60_000 },
  async () => {
    const stage = await Stage.open()
    const { key: writer } = await stage.key('writer')
    const { key: reader } = await stage.key('reader')
    const before = (await stage.lines()).filter(isRequest).length
    const asked = Array.from({ length: 3000 }, (_, i) => `id=${i}.`)
    await eachOf(64, asked, async (id) => {
      const n = Number(id.slice(3))
      const [method, path, key] = (
        [
          ['POST', `/logs/public/v1/entries?timeout=1&${id}`, writer],
          ['POST', `/logs/closed/add?${id}`, writer],
          ['GET', `/logs/closed/checkpoint?${id}`, reader],
          ['GET', `/logs/public/v1/entries?begin=0&${id}`, reader],
          ['GET', `/healthz?${id}`, writer],
        ] as const
      )[n % 5]!
      await stage.ask(method, path, { key, body: method === 'POST' ? id : undefined })
    })
    const told = (await stage.lines()).filter(isRequest).slice(before)
    expect(told.length).toBe(asked.length)
    const ids = told.map(({ query }) => /id=\d+\./.exec(query as string)?.[0] ?? '').toSorted()
    expect(ids).toEqual(asked.toSorted())
  },
)

test('a caller who goes away leaves a line all the same', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('writer')
  const size = 20
  await Promise.all(
    Array.from({ length: size }, async (_, i) => {
      const path =
        i % 2 === 0 ? `/logs/public/v1/checkpoint?after=999&timeout=${i + 1}` : `/logs/public/add?n=${i}`
      const sent = request({
        port: stage.port,
        host: '127.0.0.1',
        path,
        method: i % 2 === 0 ? 'GET' : 'POST',
        agent: false,
        headers: { authorization: `Bearer ${key}`, ...(i % 2 === 0 ? {} : { 'content-length': 100 }) },
      })
      sent.on('error', () => {})
      if (i % 2 === 1) sent.write('not all of it')
      else sent.end()
      await new Promise((resolve) => sent.on('socket', (socket) => socket.on('connect', resolve)))
      await new Promise((resolve) => setImmediate(resolve))
      sent.flushHeaders()
      await stage.ask('GET', '/healthz')
      sent.destroy()
    }),
  )
  await expect
    .poll(async () => (await stage.lines()).filter(isRequest).length, { timeout: 10_000 })
    .toBe(size)
})

test('nobody can append to the meta log over HTTP, and only auditors read its entries', async () => {
  const stage = await Stage.open()
  for (const role of ['writer', 'reader', 'admin', 'operator', 'auditor'] as const) {
    const { key } = await stage.key(role)
    for (const path of ['add', 'v1/entries', 'v1/batches']) {
      const { status } = await stage.ask('POST', `/logs/meta/${path}`, { key, body: '{"kind":"stop"}\n' })
      expect([role, path, status]).toEqual([role, path, 403])
    }
    const { status } = await stage.ask('GET', '/logs/meta/tile/entries/000.p/1', { key })
    expect([role, status]).toEqual([role, role === 'auditor' ? 200 : 403])
  }
  expect((await stage.ask('POST', '/logs/meta/add', { body: 'x' })).status).toBe(401)
  expect((await stage.ask('GET', '/logs/meta/checkpoint')).status).toBe(200)
})

test('reading the meta log adds one line to it, however it is read', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('auditor')
  for (const path of [
    'v1/entries?begin=0',
    'v1/entries/0',
    'checkpoint',
    'ct/v1/get-entries?start=0&end=9',
  ]) {
    const { size } = stage.metaLog.log.published
    expect((await stage.ask('GET', `/logs/meta/${path}`, { key })).status).toBe(200)
    expect(stage.metaLog.log.published.size).toBe(size + 1)
  }
  const { size } = stage.metaLog.log.published
  for (let i = 0; i < 10; i++) await stage.ask('GET', '/logs/meta/v1/checkpoint?after=0')
  expect(stage.metaLog.log.published.size).toBe(size)
})

test('pages are cut between lines, at 32 KiB at most, and none is empty', async () => {
  const log = await openTestLog({ name: 'meta', allowDuplicates: true })
  const meta = new MetaLog(log, () => TEST_NOW_MS)
  // Lines of every length around the end of a page.
  const lengths = Array.from({ length: 400 }, (_, i) => (i * 977) % 5000)
  await Promise.all(
    lengths.map((length, i) => meta.write({ kind: 'event', event: `${i}`, details: 'x'.repeat(length) })),
  )
  const size = log.log.published.size
  const pages = await log.log.readEntries(0, size)
  for (const page of pages) {
    expect(page.length).toBeLessThanOrEqual(PAGE_BYTES)
    expect(page.at(-1)).toBe(10)
  }
  expect(linesOf(pages).map(({ event }) => event)).toEqual(lengths.map((_, i) => `${i}`))
  // As few pages as hold them: no two neighbours would fit into one.
  const fits = pages
    .slice(1)
    .filter((page, i) => pages[i]!.length + Buffer.from(page).indexOf(10) + 1 <= PAGE_BYTES)
  expect(fits).toEqual([])
})

test('a line that fits into a page to the byte, and one that is one byte longer', async () => {
  const log = await openTestLog({ name: 'meta', allowDuplicates: true })
  const meta = new MetaLog(log, () => TEST_NOW_MS)
  const event = (length: number): Parameters<MetaLog['write']>[0] => ({
    kind: 'event',
    event: 'x'.repeat(length),
  })
  await meta.write(event(0))
  const [page] = await log.log.readEntries(0, 1)
  const around = page!.length
  const room = PAGE_BYTES - around
  await Promise.all([
    meta.write(event(room - around)),
    meta.write(event(0)),
    meta.write(event(room - around + 1)),
    meta.write(event(0)),
  ])
  const pages = await log.log.readEntries(1, log.log.published.size)
  expect(pages.map(({ length }) => length)).toEqual([PAGE_BYTES, PAGE_BYTES - around + 1, around])
})

test('a line that no entry can hold fails alone', async () => {
  const log = await openTestLog({ name: 'meta', allowDuplicates: true })
  const meta = new MetaLog(log, () => TEST_NOW_MS)
  const results = await Promise.allSettled([
    meta.write({ kind: 'event', event: 'before' }),
    meta.write({ kind: 'event', event: 'x'.repeat(70_000) }),
    meta.write({ kind: 'event', event: 'behind' }),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(results[1]).toMatchObject({ reason: { code: 'untraceable' } })
  expect(linesOf(await log.log.readEntries(0, 1)).map(({ event }) => event)).toEqual(['before', 'behind'])
})

test('a URL of 10 KB is shown in part and hashed whole; hostile headers and paths make no lines of their own', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('reader')
  const before = (await stage.lines()).length
  const long = `/logs/public/checkpoint?${'a'.repeat(10_000)}`
  const hostile = '/logs/public/checkpoint?%0A{"kind":"stop"}\\u000a"'
  const headers = {
    'user-agent': '{"kind":"stop"}',
    'x-forwarded-for': '"},{"kind":"stop"',
    referer: '\xff\x80"',
  }
  expect((await stage.ask('GET', long, { key, headers })).status).toBe(200)
  expect((await stage.ask('GET', hostile, { key, headers })).status).toBe(200)
  const lines = (await stage.lines()).slice(before)
  expect(lines.map(({ kind, query }) => [kind, (query as string).length])).toEqual([
    ['request', 512],
    ['request', hostile.length],
  ])
  expect(lines[0]!['queryHash']).toBe(createHash('sha256').update(long).digest('hex'))
  expect(lines[1]!['address']).toBe('127.0.0.1')
})

test('no secret is ever in a line, wherever a caller puts it', async () => {
  const stage = await Stage.open()
  const made = await stage.key('reader')
  const stranger = generateApiKey('writer').text
  const secrets = [made.key, stranger, stage.provisioning].map((text) => text.split('_')[3]!)
  const answers = await Promise.all(
    [made.key, stranger, stage.provisioning].flatMap((secret) => [
      stage.ask('GET', `/logs/public/checkpoint?key=${secret}`, { key: made.key }),
      stage.ask('GET', `/logs/public/checkpoint?${'x'.repeat(440)}${secret}`, { key: made.key }),
      stage.ask('GET', `/logs/${secret}/checkpoint`, { key: made.key }),
      stage.ask('GET', `/v1/keys`, { key: secret, headers: { referer: secret } }),
      stage.ask('GET', '/v1/keys', { headers: { authorization: `Basic ${secret}` } }),
      stage.ask('GET', '/v1/keys', { key: secret.slice(0, -1) }),
      stage.ask('POST', '/v1/keys', {
        key: stage.provisioning,
        body: JSON.stringify({ role: 'reader', logs: '*', label: `was ${secret}` }),
      }),
    ]),
  )
  await stage.meta.close()
  const text = JSON.stringify(await stage.lines())
  for (const secret of secrets) {
    // Not even a good part of one.
    expect(text).not.toContain(secret.slice(0, 12))
    expect(text).not.toContain(secret.slice(-12))
  }
  const quoted = answers.filter(({ text: said }) => secrets.some((secret) => said.includes(secret)))
  // A path that was asked for comes back to who asked, as with any name.
  expect(quoted.every(({ code }) => code === 'not_found')).toBe(true)
})

test('whoever guesses keys makes few lines and is told to wait', async () => {
  await guessing(1000)
})

test('thousands of addresses behind a trusted proxy fill neither memory nor the meta log', async () => {
  await crowding(4000)
})

test('a line says who was refused, and of who was not known only whom they claimed to be', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('writer', ['closed'])
  const before = (await stage.lines()).length
  await stage.ask('GET', '/v1/keys', { key })
  await stage.ask('GET', '/logs/nothing/checkpoint', { key })
  const stranger = generateApiKey('writer')
  await stage.ask('GET', '/v1/keys', { key: stranger.text })
  await stage.ask('GET', '/v1/keys', { from: '192.0.2.1' })
  const told = (await stage.lines()).slice(before)
  expect(told.map(({ code, who, role }) => [code, who, role])).toEqual([
    ['forbidden', id, 'writer'],
    ['not_found', id, 'writer'],
    ['unauthenticated', stranger.id, undefined],
    ['unauthenticated', undefined, undefined],
  ])
})

test('what was refused within a minute is counted in one line when the minute is over', async () => {
  const stage = await Stage.open()
  for (let i = 0; i < 5; i++) await stage.ask('GET', '/v1/keys', { from: '192.0.2.1' })
  stage.pass(61_000)
  await stage.ask('GET', '/v1/keys', { from: '192.0.2.1' })
  await expect
    .poll(async () => (await stage.lines()).map(({ kind, count }) => [kind, count]))
    .toEqual([
      ['denied', 1],
      ['denied', 4],
      ['denied', 1],
    ])
})

test('a meta log that cannot be written stops all who send credentials, and nobody else, until it is back', async () => {
  let down = false
  const broken = new SteleError('log_halted', 'no space left on device')
  const stage = await Stage.open({
    metaTarget: (hosted) => ({
      get log() {
        return down
          ? instead(hosted.log, { failure: broken, append: () => Promise.reject(broken) })
          : hosted.log
      },
    }),
  })
  const { key } = await stage.key('writer')
  const { id } = await stage.key('reader')
  const append = () => stage.ask('POST', '/logs/public/add', { key, body: 'an entry' })
  expect((await append()).status).toBe(200)
  const size = async () => (await stage.ask('GET', '/logs/public/checkpoint')).text.split('\n')[1]
  expect(await size()).toBe('1')
  down = true
  const asks = [
    () => stage.ask('POST', '/logs/public/add', { key, body: 'another one' }),
    () => stage.ask('GET', '/logs/public/checkpoint', { key }),
    () => stage.ask('GET', '/healthz', { key }),
    () => stage.ask('GET', '/healthz', { key: 'wrong' }),
    () => stage.ask('GET', '/healthz', { key: 'wrong' }),
    () => stage.ask('GET', '/v1/keys', { key }),
    () => stage.ask('POST', `/v1/keys/${id}/revoke`, { key: stage.provisioning }),
    () => stage.ask('POST', '/v1/keys', { key: stage.provisioning, body: '{"role":"writer","logs":"*"}' }),
  ]
  for (const ask of asks) {
    const { status, code, headers } = await ask()
    expect([status, code, headers['retry-after']]).toEqual([503, 'untraceable', '5'])
  }
  for (const path of ['/logs/public/checkpoint', '/healthz', '/v1/logs'])
    expect((await stage.ask('GET', path)).status).toBe(200)
  // Nothing was done meanwhile: no entry, no key, nothing revoked.
  expect(await size()).toBe('1')
  expect(stage.keyring.list({ id: '', grants: 'host' }).map(({ state }) => state)).toEqual([
    'valid',
    'valid',
    'valid',
  ])
  down = false
  expect((await append()).status).toBe(200)
  const told = (await stage.lines()).slice(-1)
  expect(told).toMatchObject([{ kind: 'request', status: 200, route: 'POST /logs/{log}/add' }])
})

/** A server whose meta log fails while it is told to. */
async function failingStage(failure: SteleError): Promise<{ stage: Stage; meta: { fails: boolean } }> {
  const meta = { fails: false }
  const stage = await Stage.open({
    metaTarget: ({ log }) => ({
      log: instead(log, {
        append: (...args) => (meta.fails ? Promise.reject(failure) : log.append(...args)),
      }),
    }),
  })
  return { stage, meta }
}

test('an answer whose line fails does not leave, though the entry may be there', async () => {
  const { stage, meta } = await failingStage(new SteleError('outcome_unknown', 'disk gone'))
  const { key } = await stage.key('writer')
  meta.fails = true
  const reply = await stage.ask('POST', '/logs/public/v1/entries', { key, body: 'x' })
  expect([reply.status, reply.code]).toEqual([503, 'untraceable'])
  meta.fails = false
  const again = await stage.ask('POST', '/logs/public/v1/entries', { key, body: 'x' })
  expect(JSON.parse(again.text)).toMatchObject({ index: 0, duplicate: true })
})

test('refusals that could not be written are written when that is possible again', async () => {
  const { stage, meta } = await failingStage(new SteleError('overloaded', 'busy'))
  const ask = async () => (await stage.ask('GET', '/v1/keys')).status
  expect([await ask(), await ask(), await ask()]).toEqual([401, 401, 401])
  meta.fails = true
  stage.pass(61_000)
  expect(await ask()).toBe(503)
  meta.fails = false
  expect(await ask()).toBe(401)
  await stage.meta.close()
  const counts = (await stage.lines()).map(({ count }) => count as number)
  expect(counts.reduce((a, b) => a + b, 0)).toBe(4)
})

/** An act that changes the configuration. */
const KEY_CREATE = {
  kind: 'admin',
  act: 'key_create',
  by: '',
  before: [],
  after: [],
  configuration: { access: 'two' },
} as const

test('the configuration that was recorded last is found behind many hundred pages, also of a log that is opened again', async () => {
  const hosted = await openTestLog({ name: 'meta', allowDuplicates: true })
  const fill = async (meta: MetaLog, pages: number): Promise<void> => {
    for (let i = 0; i < pages; i++) await meta.write({ kind: 'event', event: `${i}` })
  }
  const meta = new MetaLog(hosted, () => TEST_NOW_MS)
  await meta.write({ kind: 'start', version: '0', configuration: { access: 'one' }, changed: [] })
  await fill(meta, 3 * REMINDER_PAGES)
  await meta.write(KEY_CREATE)
  await fill(meta, 2 * REMINDER_PAGES - 5)
  expect((await readTrailState(hosted.log))?.configuration).toEqual({ access: 'two' })
  // A server that never came to say what its configuration is hands on what it found.
  for (let i = 0; i < 3; i++) {
    const found = await readTrailState(hosted.log)
    const next = new MetaLog(hosted, () => TEST_NOW_MS, found)
    await fill(next, REMINDER_PAGES - 1)
    await next.close()
  }
  expect((await readTrailState(hosted.log))?.configuration).toEqual({ access: 'two' })
  // Tens of thousands of lines that wait at once are no gap either.
  const burst = new MetaLog(hosted, () => TEST_NOW_MS, {
    configuration: { access: 'two' },
    accounts: new TrailAccounts(),
  })
  await Promise.all(
    Array.from({ length: 20_000 }, () => burst.write({ kind: 'event', event: 'e'.repeat(1000) })),
  )
  expect((await readTrailState(hosted.log))?.configuration).toEqual({ access: 'two' })
})

test('a configuration that was recorded and is not published yet, for want of witnesses, counts all the same', async () => {
  const hosted = await openTestLog({ name: 'meta', allowDuplicates: true })
  const meta = new MetaLog(hosted, () => TEST_NOW_MS)
  const { published } = hosted.log
  await meta.write({ kind: 'start', version: '0', configuration: { access: 'one' }, changed: [] })
  expect((await readTrailState(instead(hosted.log, { published })))?.configuration).toEqual({ access: 'one' })
})

test('an act that could not be written is not what the next reminder says', async () => {
  const hosted = await openTestLog({ name: 'meta', allowDuplicates: true })
  let fail = false
  const target = {
    log: instead(hosted.log, {
      append: (...args: Parameters<typeof hosted.log.append>) =>
        fail ? Promise.reject(new Error('full')) : hosted.log.append(...args),
    }),
  }
  const meta = new MetaLog(target, () => TEST_NOW_MS)
  await meta.write({ kind: 'start', version: '0', configuration: { access: 'one' }, changed: [] })
  fail = true
  await expect(meta.write(KEY_CREATE)).rejects.toMatchObject({ code: 'untraceable' })
  expect(meta.configuration).toEqual({ access: 'one' })
})

test('behind the last line nothing comes', async () => {
  const stage = await Stage.open()
  const { key } = await stage.key('reader')
  for (let i = 0; i < 3; i++) await stage.ask('GET', '/v1/keys')
  await stage.meta.close({ kind: 'stop' })
  expect((await stage.ask('GET', '/healthz', { key })).code).toBe('untraceable')
  expect((await stage.ask('GET', '/healthz')).status).toBe(200)
  expect((await stage.lines()).map(({ kind, count }) => [kind, count]).slice(2)).toEqual([
    ['denied', 1],
    ['denied', 2],
    ['stop', undefined],
  ])
})
