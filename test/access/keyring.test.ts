import { expect, test } from 'vitest'
import { areWithin } from '../../src/access/address.ts'
import { Keyring, type KeyAct, type MadeKey, type Maker } from '../../src/access/keyring.ts'
import type { KeyInfo, KeyRecord } from '../../src/access/key-record.ts'
import { accessState } from '../../src/access/state.ts'
import { HOST, Stage, type Reply } from './stage.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

const bodyOf = <T>({ text }: Reply): T => JSON.parse(text) as T
const make = (stage: Stage, key: string, wanted: object): Promise<Reply> =>
  stage.ask('POST', '/v1/keys', {
    key,
    body: JSON.stringify({ role: 'writer', logs: ['public'], ...wanted }),
  })
const infoOf = (reply: Reply): KeyInfo => {
  expect([reply.status, reply.text]).toEqual([201, reply.text])
  return bodyOf<MadeKey>(reply).info
}
const stateOf = ({ keyring }: Stage, id: string): string | undefined =>
  keyring.list(HOST).find((key) => key.id === id)?.state

test('a grant to read every log does not widen the logs of a grant to manage keys', async () => {
  const { keyring, key } = await Stage.open().then((stage) => ({
    keyring: stage.keyring,
    key: stage.key.bind(stage),
  }))
  const inside = await key('writer', ['public'])
  const outside = await key('writer', ['closed'])
  const everywhere = await key('writer', '*')
  const maker: Maker = {
    id: 'carol',
    grants: [
      { role: 'reader', logs: '*' },
      { role: 'admin', logs: ['public'] },
    ],
  }
  expect(keyring.list(maker).map(({ id }) => id)).toEqual([inside.id])
  for (const { id } of [outside, everywhere]) {
    await expect(keyring.revoke(maker, id)).rejects.toMatchObject({ code: 'not_found' })
    await expect(keyring.rotate(maker, id, 0)).rejects.toMatchObject({ code: 'not_found' })
  }
  for (const logs of ['*', ['closed'], ['public', 'closed']] as const) {
    const made = keyring.create(maker, { role: 'reader', logs, label: '' })
    await expect(made).rejects.toMatchObject({ code: 'forbidden' })
  }
  expect((await keyring.rotate(maker, inside.id, 0)).info.logs).toEqual(['public'])
  // An auditor sees keys of all logs, and still manages those of one.
  const both: Maker = { ...maker, grants: [{ role: 'auditor', logs: '*' }, maker.grants[1] as never] }
  expect(keyring.list(both).map(({ id }) => id)).toContain(outside.id)
  await expect(keyring.revoke(both, outside.id)).rejects.toMatchObject({ code: 'forbidden' })
})

test('a key that is made has the addresses, the rate and the end of its maker, and no wider ones', async () => {
  const stage = await Stage.open()
  const expiresAt = new Date(stage.nowMs + 90 * MINUTE_MS).toISOString()
  const bounds = { addresses: ['127.0.0.0/8', '2001:db8::/32'], requestsPerSecond: 5, expiresAt }
  const { key, id } = await stage.key('admin', '*', bounds)
  expect(infoOf(await make(stage, key, {}))).toMatchObject({ ...bounds, createdBy: id })
  const narrower = {
    addresses: ['127.0.0.9', '2001:db8:1::/48'],
    requestsPerSecond: 2,
    expiresAt: new Date(stage.nowMs + MINUTE_MS).toISOString(),
  }
  expect(infoOf(await make(stage, key, narrower))).toMatchObject(narrower)
  const wider: [object, string][] = [
    [{ addresses: ['127.0.0.0/7'] }, 'is bound to 127.0.0.0/8, 2001:db8::/32'],
    [{ addresses: ['127.0.0.1', '192.0.2.1'] }, 'is bound to 127.0.0.0/8'],
    [{ addresses: ['::/0'] }, 'is bound to 127.0.0.0/8'],
    [{ addresses: ['::ffff:127.0.0.1'] }, 'is bound to 127.0.0.0/8'],
    [{ requestsPerSecond: 5.5 }, 'is bound to 5 requests per second'],
    [{ expiresAt: new Date(stage.nowMs + 91 * MINUTE_MS).toISOString() }, `expires at ${expiresAt}`],
  ]
  for (const [wanted, bound] of wider) {
    const reply = await make(stage, key, wanted)
    expect([wanted, reply.status, reply.code]).toEqual([wanted, 403, 'forbidden'])
    expect(reply.text).toContain(bound)
  }
})

test('a key that is rotated is bound as its maker is, or not rotated', async () => {
  const stage = await Stage.open()
  const expiresAt = new Date(stage.nowMs + 90 * MINUTE_MS).toISOString()
  const { key } = await stage.key('admin', '*', { addresses: ['127.0.0.1'], requestsPerSecond: 5, expiresAt })
  const rotate = (id: string): Promise<Reply> =>
    stage.ask('POST', `/v1/keys/${id}/rotate`, { key, body: '{}' })
  const within = await stage.key('reader', '*', { addresses: ['127.0.0.1'], requestsPerSecond: 1 })
  expect(infoOf(await rotate(within.id))).toMatchObject({ requestsPerSecond: 1, expiresAt })
  const unbound = await stage.key('reader')
  const anywhere = await stage.key('reader', '*', { requestsPerSecond: 1 })
  const fast = await stage.key('reader', '*', { addresses: ['127.0.0.1'], requestsPerSecond: 6 })
  for (const { id } of [unbound, anywhere, fast]) expect((await rotate(id)).status).toBe(403)
})

test('an instance can bound how long new keys are valid', async () => {
  const act = (): Promise<void> => Promise.resolve()
  const keyring = new Keyring(accessState([]), { nowMs: () => 0, apply: act, maxKeyMs: 30 * DAY_MS })
  const wanted = { role: 'reader', logs: '*', label: '' } as const
  const at = (days: number): string => new Date(days * DAY_MS).toISOString()
  expect((await keyring.create(HOST, wanted)).info.expiresAt).toBe(at(30))
  expect((await keyring.create(HOST, { ...wanted, expiresAt: at(7) })).info.expiresAt).toBe(at(7))
  await expect(keyring.create(HOST, { ...wanted, expiresAt: at(31) })).rejects.toThrow(/at most 30 days/)
  const { info } = await keyring.create(HOST, { ...wanted, expiresAt: at(7) })
  expect((await keyring.rotate(HOST, info.id, 0)).info.expiresAt).toBe(at(30))
})

test.each([1e-300, 0.001, 0, -1, 1e300])('a rate of %d requests per second is refused', async (rate) => {
  const stage = await Stage.open()
  const reply = await make(stage, stage.provisioning, { requestsPerSecond: rate })
  expect(reply.status).toBe(400)
  for (const requestsPerSecond of [rate === 1e300 ? Infinity : rate, NaN]) {
    const wanted = { role: 'reader', logs: '*', label: '', requestsPerSecond } as const
    await expect(stage.keyring.create(HOST, wanted)).rejects.toMatchObject({ code: 'usage' })
  }
})

test('revoking a key with cascade ends all that it made, in one line of the meta log', async () => {
  const stage = await Stage.open()
  const { key, id } = await stage.key('admin')
  const child = infoOf(await make(stage, key, {}))
  const rotated = infoOf(await stage.ask('POST', `/v1/keys/${child.id}/rotate`, { key, body: '{}' }))
  const other = await stage.key('writer')
  const before = (await stage.lines()).length
  const path = `/v1/keys/${id}/revoke`
  const reply = await stage.ask('POST', path, { key: stage.provisioning, body: '{"cascade":true}' })
  expect(bodyOf<KeyInfo>(reply)).toMatchObject({ id, state: 'revoked', alsoRevoked: [child.id, rotated.id] })
  for (const each of [id, child.id, rotated.id]) expect(stateOf(stage, each)).toBe('revoked')
  expect(stateOf(stage, other.id)).toBe('valid')
  const told = (await stage.lines()).slice(before).filter(({ kind }) => kind === 'admin')
  expect(told).toMatchObject([
    { act: 'key_revoke', before: [{ id }], after: [{ id, alsoRevoked: [child.id, rotated.id] }] },
  ])
})

test('a cascade reaches the keys of keys, also behind a key that has been revoked before', async () => {
  const acts: KeyAct[] = []
  const record = (n: number, createdBy: string, more: object = {}): KeyRecord => ({
    id: `key${n}`,
    role: 'reader',
    logs: '*',
    hash: '00'.repeat(32),
    label: '',
    createdAt: '2026-01-01T00:00:00Z',
    createdBy,
    ...more,
  })
  const leaves = Array.from({ length: 2003 }, (_, i) => record(i, 'middle'))
  const keys = [
    record(0, 'host', { id: 'top' }),
    record(0, 'top', { id: 'middle', revokedAt: '2026-01-02T00:00:00Z' }),
    ...leaves,
    record(0, 'host', { id: 'other' }),
  ]
  const apply = async (act: KeyAct): Promise<void> => void acts.push(act)
  const keyring = new Keyring(accessState(keys), { nowMs: () => 0, apply })
  const { alsoRevoked } = await keyring.revoke(HOST, 'top', true)
  expect(alsoRevoked).toEqual(leaves.map(({ id }) => id))
  expect(keyring.list(HOST).filter(({ state }) => state === 'valid')).toMatchObject([{ id: 'other' }])
  // A line of the meta log holds 60,000 bytes.
  expect(acts.map(({ after }) => after[0]?.alsoRevoked?.length)).toEqual([2000, 3])
  for (const { before, after } of acts) expect(JSON.stringify({ before, after }).length).toBeLessThan(50_000)
})

test('a key that ended while its request waited makes no further one', async () => {
  const stage = await Stage.open()
  const { id } = await stage.key('admin')
  const grants = [{ role: 'admin', logs: '*' }] as const
  const revoked = stage.keyring.revoke(HOST, id, true)
  const made = stage.keyring.create({ id, grants }, { role: 'reader', logs: '*', label: '' })
  await expect(made).rejects.toMatchObject({ code: 'unauthenticated' })
  await revoked
})

test('the provisioning key replaces itself over HTTP, and no other key can', async () => {
  const stage = await Stage.open()
  const id = stage.provisioning.split('_')[2]!
  const path = `/v1/keys/${id}/rotate`
  const { key: admin } = await stage.key('admin')
  expect((await stage.ask('POST', path, { key: admin, body: '{}' })).status).toBe(403)
  const before = (await stage.lines()).length
  const reply = await stage.ask('POST', path, { key: stage.provisioning, body: '{"overlapSeconds":3600}' })
  expect(infoOf(reply)).toMatchObject({ role: 'provisioning', logs: '*', createdBy: id })
  const { key: next, info } = bodyOf<MadeKey>(reply)
  expect(info.expiresAt).toBeUndefined()
  const list = async (key: string): Promise<number> => (await stage.ask('GET', '/v1/keys', { key })).status
  expect([await list(stage.provisioning), await list(next)]).toEqual([200, 200])
  const revoke = (target: string, key: string): Promise<Reply> =>
    stage.ask('POST', `/v1/keys/${target}/revoke`, { key, body: '{}' })
  // Neither ends itself nor what comes after it; the old one is ended by the new one, or by time.
  expect((await revoke(info.id, next)).status).toBe(403)
  expect((await revoke(info.id, stage.provisioning)).status).toBe(403)
  expect((await revoke(id, next)).status).toBe(200)
  expect([await list(stage.provisioning), await list(next)]).toEqual([401, 200])
  const told = (await stage.lines()).slice(before).filter(({ kind }) => kind === 'admin')
  expect(told).toMatchObject([
    { act: 'provisioning_replace', by: id, after: [{ id, successor: info.id }, { id: info.id }] },
    { act: 'key_revoke', by: info.id },
  ])
  const atOnce = await stage.ask('POST', `/v1/keys/${info.id}/rotate`, {
    key: next,
    body: '{"overlapSeconds":0}',
  })
  expect(atOnce.status).toBe(201)
  expect([await list(next), await list(bodyOf<MadeKey>(atOnce).key)]).toEqual([401, 200])
})

test('networks lie in others of their family alone', () => {
  const within = (range: string, outer: string): boolean => areWithin([range], [outer])
  expect(within('10.1.0.0/16', '10.0.0.0/8')).toBe(true)
  expect(within('10.0.0.0/8', '10.0.0.0/8')).toBe(true)
  expect(within('10.0.0.0/7', '10.0.0.0/8')).toBe(false)
  expect(within('10.0.0.1', '10.0.0.1')).toBe(true)
  expect(within('10.0.0.0/31', '10.0.0.1')).toBe(false)
  expect(within('11.0.0.1', '10.0.0.0/8')).toBe(false)
  expect(within('0.0.0.0/0', '::/0')).toBe(false)
  expect(within('2001:db8::1', '2001:db8::/32')).toBe(true)
})
