import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { generateApiKey } from '../../src/access/api-key.ts'
import { UNKNOWN_CALLERS } from '../../src/audit-trail/denied-tally.ts'
import { readText } from '../house/repository.ts'
import { eachOf } from '../access/each.ts'
import { Stage, type Line } from '../access/stage.ts'

/** What `audit-trail.md` says that a line about an unknown caller has at most, and all of them in an hour. */
const LINE_BYTES = 512
const BYTES_PER_HOUR = UNKNOWN_CALLERS.linesPerMinute * 60 * LINE_BYTES

const isDenied = ({ kind }: Line): boolean => kind === 'denied'

/** 16 letters, as the id of a key. */
const madeUpId = (): string => generateApiKey('writer').id

test('a thousand made-up ids do not hide the refusals of a key that exists', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('writer')
  const noise = Array.from({ length: 1300 }, (_, i) => i)
  await eachOf(32, noise, async (i) => {
    const from = `10.0.${i >> 8}.${i & 255}`
    await stage.ask('GET', '/v1/keys', {
      from,
      headers: { authorization: `Bearer st_writer_${madeUpId()}_ b` },
    })
    // As good as a key can be made up: its checksum is right.
    await stage.ask('GET', '/v1/keys', { from, key: generateApiKey('writer').text })
  })
  for (const path of ['/v1/keys', '/logs/public/v1/entries?begin=0&end=9', '/v1/keys'])
    await stage.ask('GET', path, { key, from: '198.18.0.1' })
  await stage.ask('GET', '/v1/keys', { key, from: '198.18.0.1' })
  await stage.meta.close()
  const denied = (await stage.lines()).filter(isDenied)
  const own = denied.filter(({ who }) => who === id)
  expect(own).toMatchObject([
    { who: id, role: 'writer', code: 'forbidden', address: '198.18.0.1', count: 1 },
    { who: id, role: 'writer', code: 'forbidden', address: '198.18.0.1', count: 2 },
  ])
  // What was not told apart is counted.
  const others = denied.filter(({ address }) => address === 'others')
  expect(others.length).toBeGreaterThan(0)
  expect(others.every(({ who }) => who === undefined)).toBe(true)
  expect(Math.max(...others.map(({ networks }) => networks as number))).toBeGreaterThan(1000)
  expect(denied.reduce((sum, { count }) => sum + (count as number), 0)).toBe(2 * 1300 + 3)
})

test('a key that is refused from everywhere keeps its name, however many networks it comes from', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('writer')
  const addresses = Array.from({ length: 100 }, (_, i) => `10.1.${i}.1`)
  for (const from of addresses) await stage.ask('GET', '/v1/keys', { key, from })
  await stage.meta.close()
  const denied = (await stage.lines()).filter(isDenied)
  expect(denied.every(({ who }) => who === id)).toBe(true)
  expect(denied.length).toBeLessThan(25)
  expect(denied.reduce((sum, { count }) => sum + (count as number), 0)).toBe(100)
})

test('a revoked key that is used is named by its id, which its secret proves', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('writer')
  await stage.keyring.revoke({ id: 'host', grants: 'host' }, id)
  expect((await stage.ask('GET', '/healthz', { key })).status).toBe(401)
  const denied = (await stage.lines()).filter(isDenied)
  expect(denied).toMatchObject([{ who: id, role: 'writer', code: 'unauthenticated' }])
})

test.each([
  ['two words behind Bearer', 'Bearer a b'],
  ['another scheme', 'Basic dXNlcjpwYXNz'],
  ['a key that is cut short', 'Bearer st_writer_abc'],
  ['no key at all', 'Bearer hello'],
])('%s is a guess like any other', async (_, authorization) => {
  const stage = await Stage.open()
  const statuses: number[] = []
  for (let i = 0; i < 25; i++) {
    const headers = { authorization }
    statuses.push((await stage.ask('GET', '/healthz', { headers, from: '203.0.113.9' })).status)
  }
  expect(statuses).toEqual([...Array<number>(20).fill(401), ...Array<number>(5).fill(429)])
  stage.pass(1000)
  expect(
    (await stage.ask('GET', '/healthz', { headers: { authorization }, from: '203.0.113.9' })).status,
  ).toBe(401)
})

test('an id is believed only of a key whose checksum is right, within the guesses of its network', async () => {
  const stage = await Stage.open()
  const { text, id } = generateApiKey('writer')
  const from = '203.0.113.9'
  await stage.ask('GET', '/healthz', { key: `${text.slice(0, -1)}${text.endsWith('a') ? 'b' : 'a'}`, from })
  for (let i = 0; i < 19; i++) await stage.ask('GET', '/healthz', { key: 'x', from })
  // The twenty guesses are used up.
  expect((await stage.ask('GET', '/healthz', { key: text, from })).status).toBe(429)
  expect((await stage.lines()).filter(({ who }) => who !== undefined)).toEqual([])
  stage.pass(61_000)
  expect((await stage.ask('GET', '/healthz', { key: text, from })).status).toBe(401)
  expect((await stage.lines()).filter(isDenied).at(-1)).toMatchObject({ who: id, count: 1 })
})

test('audit-trail.md has the sum', () => {
  const { kinds, linesPerMinute } = UNKNOWN_CALLERS
  const page = readText('proto-docs/audit-trail.md').replaceAll(/\s+/g, ' ')
  expect(page).toContain(`${kinds} kinds of refusals`)
  expect(page).toContain(
    `${linesPerMinute} lines of ${LINE_BYTES} bytes a minute, ${BYTES_PER_HOUR.toLocaleString('en-US')} bytes an hour`,
  )
})

test(
  'an hour of hostile requests writes at most what audit-trail.md says',
  { timeout: 120_000 },
  async () => {
    const stage = await Stage.open()
    const bytes = async (): Promise<number> =>
      (await stage.pages()).reduce((sum, { length }) => sum + length, 0)
    const hostile = (i: number): Promise<unknown>[] => {
      const from = `2001:db8:${(i >> 8).toString(16)}:${(i & 255).toString(16)}:ffff:ffff:ffff:ffff`
      const junk = '"\\'.repeat(300)
      const path = `/logs/${encodeURIComponent('\u0001\u{1f600}'.repeat(40))}/v1/entries?${junk}`
      const key = generateApiKey('provisioning').text
      return [
        stage.ask('GET', path, { from, key }),
        stage.ask('GET', path, { from, key }),
        stage.ask('DELETE', `/v1/keys?${junk}`, {
          from,
          headers: { authorization: `Bearer ${randomBytes(9).toString('hex')} x` },
        }),
      ]
    }
    const before = await bytes()
    for (let minute = 0; minute < 60; minute++) {
      for (let i = 0; i < 24; i += 8) {
        await Promise.all(Array.from({ length: 8 }, (_, n) => hostile(minute * 24 + i + n)).flat())
      }
      stage.pass(60_000)
    }
    await stage.meta.close()
    const written = (await bytes()) - before
    expect(written).toBeGreaterThan(500_000)
    expect(written).toBeLessThanOrEqual(BYTES_PER_HOUR)
    const lines = (await stage.lines()).filter(isDenied)
    expect(lines.reduce((sum, { count }) => sum + (count as number), 0)).toBe(60 * 24 * 3)
    const lengths = (await stage.pages()).flatMap((page) => Buffer.from(page).toString().split('\n'))
    expect(Math.max(...lengths.map((line) => Buffer.byteLength(line) + 1))).toBeLessThanOrEqual(LINE_BYTES)
  },
)
