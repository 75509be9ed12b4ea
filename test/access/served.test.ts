import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import type { Role } from '../../src/access/role.ts'
import type { MadeKey } from '../../src/access/keyring.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

async function started(): Promise<{
  url: string
  provisioning: string
  close: () => Promise<void>
  folder: string
}> {
  const { data: folder, provisioning } = await makeInstanceFolder(['open'], ['closed'])
  const config = loadConfig({ flags: { data: folder, port: 0, 'log-level': 'silent' } })
  const server = await createServer(config, pino({ level: 'silent' }))
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= server.close())
  onTestFinished(close)
  return { url: server.url, provisioning, close, folder }
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

async function makeKey(url: string, by: string, role: Role, logs: '*' | string[] = '*'): Promise<string> {
  const answer = await fetch(`${url}/v1/keys`, {
    method: 'POST',
    headers: bearer(by),
    body: JSON.stringify({ role, logs }),
  })
  expect(answer.status).toBe(201)
  return ((await answer.json()) as MadeKey).key
}

test('a key is made, used, traced and revoked', async () => {
  const { url, provisioning } = await started()
  const writer = await makeKey(url, provisioning, 'writer', ['open'])
  const auditor = await makeKey(url, provisioning, 'auditor')
  const append = (headers: Record<string, string>, log = 'open') =>
    fetch(`${url}/logs/${log}/add`, { method: 'POST', headers, body: 'hello' })
  expect((await append({})).status).toBe(401)
  expect((await append(bearer(provisioning))).status).toBe(403)
  expect((await append(bearer(writer))).status).toBe(200)
  expect((await append(bearer(writer), 'closed')).status).toBe(404)
  expect((await fetch(`${url}/logs/closed/checkpoint`)).status).toBe(404)
  expect((await fetch(`${url}/logs/closed/checkpoint`, { headers: bearer(auditor) })).status).toBe(200)
  expect((await fetch(`${url}/logs/meta/v1/entries?begin=0`)).status).toBe(401)
  const id = writer.split('_')[2]!
  expect(
    (await fetch(`${url}/v1/keys/${id}/revoke`, { method: 'POST', headers: bearer(provisioning) })).status,
  ).toBe(200)
  expect((await append(bearer(writer))).status).toBe(401)
  const page = await fetch(`${url}/logs/meta/v1/entries?begin=0`, { headers: bearer(auditor) })
  const { entries } = (await page.json()) as { entries: { entry: string }[] }
  const lines = entries.flatMap(({ entry }) => Buffer.from(entry, 'base64').toString().trim().split('\n'))
  // What logs do by themselves has its lines as well.
  const told = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ kind }) => kind !== 'event' && kind !== 'hashes')
  expect(told.map(({ kind, act, status }) => [kind, act ?? status])).toEqual([
    ['start', undefined],
    ['admin', 'key_create'],
    ['request', 201],
    ['admin', 'key_create'],
    ['request', 201],
    ['denied', 401],
    ['denied', 403],
    ['request', 200],
    ['denied', 404],
    ['denied', 404],
    ['request', 200],
    ['admin', 'key_revoke'],
    ['request', 200],
    ['denied', 401],
  ])
  for (const key of [provisioning, writer, auditor]) expect(lines.join('\n')).not.toContain(key.split('_')[3])
})
