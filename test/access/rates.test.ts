import { expect, test } from 'vitest'
import { networkOf } from '../../src/http/rates.ts'
import { Stage, type Ask } from './stage.ts'

/** Statuses of so many requests, one after the other. */
async function statuses(stage: Stage, count: number, ask: Ask): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < count; i++) found.push((await stage.ask('GET', '/healthz', ask)).status)
  return found
}

test('a key that comes too often is told when to come again, and has a line of its own for it', async () => {
  const stage = await Stage.open({ rates: { perAddress: 0, perKey: 2 } })
  const { key, id } = await stage.key('reader')
  expect(await statuses(stage, 5, { key })).toEqual([200, 200, 200, 200, 429])
  const { headers } = await stage.ask('GET', '/healthz', { key })
  expect(headers).toMatchObject({
    'retry-after': '1',
    'ratelimit-policy': '"requests";q=4',
    ratelimit: '"requests";r=0;t=1',
  })
  // From wherever it comes; others are not concerned, nor is somebody without a key.
  expect(await statuses(stage, 1, { key, from: '198.18.0.9' })).toEqual([429])
  expect(await statuses(stage, 1, { key: stage.provisioning })).toEqual([200])
  expect(await statuses(stage, 10, {})).toEqual(Array(10).fill(200))
  stage.pass(500)
  expect(await statuses(stage, 2, { key })).toEqual([200, 429])
  const denied = (await stage.lines()).filter(({ kind }) => kind === 'denied')
  expect(denied).toMatchObject([
    { who: id, role: 'reader', code: 'rate_limited', address: '127.0.0.1', count: 1 },
    { who: id, role: 'reader', code: 'rate_limited', address: '198.18.0.9', count: 1 },
  ])
})

test('a rate of its own takes the place of the server’s', async () => {
  const stage = await Stage.open({ rates: { perAddress: 0, perKey: 1 } })
  const fast = await stage.key('reader', '*', { requestsPerSecond: 5 })
  const slow = await stage.key('reader', '*', { requestsPerSecond: 0.1 })
  expect(await statuses(stage, 11, { key: fast.key })).toEqual([...Array<number>(10).fill(200), 429])
  expect(await statuses(stage, 2, { key: slow.key })).toEqual([200, 429])
  expect((await stage.ask('GET', '/healthz', { key: slow.key })).headers['retry-after']).toBe('10')
})

test('all addresses of one IPv6 network of 64 bits are one, and those of IPv4 are each their own', async () => {
  const stage = await Stage.open({ rates: { perAddress: 1, perKey: 0 } })
  expect(await statuses(stage, 2, { from: '2001:db8:1:2::1' })).toEqual([200, 200])
  expect(await statuses(stage, 1, { from: '2001:db8:1:2:ffff::9' })).toEqual([429])
  expect(await statuses(stage, 1, { from: '2001:db8:1:3::1' })).toEqual([200])
  expect(await statuses(stage, 3, { from: '198.18.0.1' })).toEqual([200, 200, 429])
  expect(await statuses(stage, 1, { from: '198.18.0.2' })).toEqual([200])
  expect(networkOf('2001:db8::1')).toBe(networkOf('2001:db8:0:0:9::'))
})

test('what a caller writes before the address that a trusted proxy saw changes nothing', async () => {
  const stage = await Stage.open({ rates: { perAddress: 1, perKey: 0 } })
  const ask = async (from: string) => (await statuses(stage, 1, { from }))[0]
  expect([
    await ask('1.1.1.1, 198.18.0.1'),
    await ask('2.2.2.2, 198.18.0.1'),
    await ask('3.3.3.3,198.18.0.1'),
  ]).toEqual([200, 200, 429])
  expect(await ask('127.0.0.1, 198.18.0.1, 127.0.0.1')).toBe(429)
  expect(await ask('198.18.0.7')).toBe(200)
})
