import { expect } from 'vitest'
import { generateApiKey } from '../../src/access/api-key.ts'
import { UNKNOWN_CALLERS } from '../../src/audit-trail/denied-tally.ts'
import { eachOf } from './each.ts'
import { Stage, type Reply } from './stage.ts'

/** One address tries that many keys, each with an id of its own. */
export async function guessing(attempts: number): Promise<void> {
  const stage = await Stage.open()
  const { key } = await stage.key('reader')
  const before = (await stage.lines()).length
  const statuses = new Map<number, number>()
  let refusal: Reply | undefined
  await eachOf(64, Array.from({ length: attempts }), async () => {
    const reply = await stage.ask('GET', '/logs/public/checkpoint', {
      key: generateApiKey('admin').text,
      from: '203.0.113.9',
    })
    statuses.set(reply.status, (statuses.get(reply.status) ?? 0) + 1)
    if (reply.status === 429) refusal = reply
  })
  expect(Object.fromEntries(statuses)).toEqual({ 401: 20, 429: attempts - 20 })
  expect(refusal!.headers).toMatchObject({
    'retry-after': '1',
    'ratelimit-policy': '"requests";q=20',
    ratelimit: '"requests";r=0;t=1',
  })
  // Somebody with a right key, behind the same address, is not slowed down by it.
  expect((await stage.ask('GET', '/logs/public/checkpoint', { key, from: '203.0.113.9' })).status).toBe(200)
  await stage.meta.close()
  const denied = (await stage.lines()).slice(before).filter(({ kind }) => kind === 'denied')
  expect(denied.length).toBeLessThan(30)
  expect(denied.reduce((sum, { count }) => sum + (count as number), 0)).toBe(attempts)
}

/** Each of that many addresses, which a trusted proxy names, is refused once. */
export async function crowding(count: number): Promise<void> {
  const stage = await Stage.open({ rates: { perAddress: 5, perKey: 0 } })
  const addresses = Array.from({ length: count }, (_, i) => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`)
  const refused = async (from: string): Promise<void> => {
    const { status } = await stage.ask('GET', '/v1/keys', { from })
    if (status !== 401) throw new Error(`expected 401, got ${status}`)
  }
  const warm = Math.floor(count / 10)
  await eachOf(32, addresses.slice(0, warm), refused)
  const heap = process.memoryUsage().heapUsed
  await eachOf(32, addresses.slice(warm), refused)
  expect(process.memoryUsage().heapUsed - heap).toBeLessThan(128 * 1024 * 1024)
  await stage.meta.close()
  const lines = await stage.lines()
  expect(lines.length).toBeLessThanOrEqual(2 * UNKNOWN_CALLERS.linesPerMinute)
  expect(lines.reduce((sum, line) => sum + (line['count'] as number), 0)).toBe(count)
  expect(lines.some(({ address }) => address === 'others')).toBe(true)
}
