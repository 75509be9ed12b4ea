import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bearer, Folder, makeKey } from './started.ts'
import type { Line } from './stage.ts'

const changes = (lines: readonly Line[]): unknown[] =>
  lines.filter(({ kind }) => kind === 'start').map(({ changed }) => changed)

/** What people and servers did: what logs do by themselves has lines as well, whenever it happens. */
const kindsOf = (lines: readonly Line[]): unknown[] =>
  lines.map(({ kind }) => kind).filter((kind) => kind !== 'event' && kind !== 'hashes')

test('every start and every stop has its line, and nothing has changed when nobody touched anything', async () => {
  const folder = await Folder.create()
  for (let i = 0; i < 3; i++) await folder.once()
  const lines = await folder.lines()
  expect(kindsOf(lines)).toEqual(['start', 'stop', 'start', 'stop', 'start', 'stop'])
  expect(changes(lines)).toEqual([[], [], []])
  expect(lines.find(({ kind }) => kind === 'start')!['version']).toMatch(/^\d+\.\d+\.\d+/)
})

test('acts of a running server and of commands on a stopped one are no change that nobody recorded', async () => {
  const folder = await Folder.create()
  const server = await folder.start()
  const { info } = await makeKey(server.url, folder.provisioning, 'writer')
  await fetch(`${server.url}/v1/keys/${info.id}/rotate`, {
    method: 'POST',
    headers: bearer(folder.provisioning),
  })
  await fetch(`${server.url}/v1/keys/${info.id}/revoke`, {
    method: 'POST',
    headers: bearer(folder.provisioning),
  })
  await server.close()
  const { storedKeys } = await import('../../src/cli/access/stored-keys.ts')
  await storedKeys(folder.path).create({ role: 'reader', logs: '*', label: 'by hand' })
  await folder.once()
  const lines = await folder.lines()
  expect(changes(lines)).toEqual([[], []])
  const acts = lines.filter(({ kind }) => kind === 'admin')
  expect(acts.map(({ act, by }) => [act, by])).toEqual([
    ['key_create', folder.provisioning.split('_')[2]],
    ['key_rotate', folder.provisioning.split('_')[2]],
    ['key_revoke', folder.provisioning.split('_')[2]],
    ['key_create', 'host'],
  ])
  expect(acts[2]).toMatchObject({
    before: [{ id: info.id, state: 'valid' }],
    after: [{ id: info.id, state: 'revoked' }],
  })
  expect(JSON.stringify(acts)).not.toContain('hash')
})

test('an older access.json that revives a revoked key is named by the start line and by the server', async () => {
  const folder = await Folder.create()
  const server = await folder.start()
  const { key, info } = await makeKey(server.url, folder.provisioning, 'writer')
  const older = folder.read('access.json')
  await fetch(`${server.url}/v1/keys/${info.id}/revoke`, {
    method: 'POST',
    headers: bearer(folder.provisioning),
  })
  await server.close()
  folder.write('access.json', older)
  const again = await folder.start()
  // The file is what counts, so the key is valid; that it is has not gone unseen.
  expect((await fetch(`${again.url}/healthz`, { headers: bearer(key) })).status).toBe(200)
  await again.close()
  expect(changes(await folder.lines())).toEqual([[], ['access']])
  const said = folder.said.join('')
  expect(said).toContain('changed without a record in the audit trail: access')
  for (const secret of [key, folder.provisioning]) expect(said).not.toContain(secret.split('_')[3])
})

test('whatever was edited while the server was stopped is named, once', async () => {
  const folder = await Folder.create()
  await folder.once()
  folder.write('access.json', folder.read('access.json').replace('"provisioning key"', '"another label"'))
  await folder.once()
  folder.write('logs/main/log.json', `${folder.read('logs/main/log.json')} `)
  folder.write('logs/meta/log.json', `${folder.read('logs/meta/log.json')} `)
  await folder.once()
  folder.write('logs/main/policy', 'quorum none\n')
  await folder.once()
  await folder.once({ 'open-metrics': true })
  await folder.once({ 'open-metrics': true })
  expect(changes(await folder.lines())).toEqual([
    [],
    ['access'],
    ['log main', 'log meta'],
    ['policy of main'],
    ['options'],
    [],
  ])
})

test('a server whose meta log does not open serves what is public, and says that it started when it does', async () => {
  const folder = await Folder.create()
  await folder.once()
  folder.write('access.json', folder.read('access.json').replace('"provisioning key"', '"another label"'))
  // What is listed as a write-ahead log and cannot be read is a disk that fails, perhaps for a moment.
  const obstacle = join(folder.path, 'logs/meta/database/999999.log')
  mkdirSync(obstacle)
  const { url, close } = await folder.start()
  const status = async (headers = {}) => (await fetch(`${url}/logs/main/checkpoint`, { headers })).status
  expect(await status()).toBe(200)
  const refused = await fetch(`${url}/v1/keys`, { headers: bearer(folder.provisioning) })
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, 'untraceable'])
  expect(await status(bearer('wrong'))).toBe(503)
  rmdirSync(obstacle)
  await expect.poll(() => status(bearer(folder.provisioning)), { timeout: 15_000 }).toBe(200)
  await close()
  const lines = await folder.lines()
  expect(changes(lines)).toEqual([[], ['access']])
  // Nothing that anybody asked of the second server stands before its start.
  expect(kindsOf(lines)).toEqual(['start', 'stop', 'start', 'request', 'stop'])
})

test(
  'a folder with more logs than one line could name can still change its keys, and sees what changed',
  { timeout: 90_000 },
  async () => {
    const folder = await Folder.create()
    // What a log is, is read from these files alone; that these cannot be opened does not matter here.
    for (let i = 0; i < 700; i++) {
      const name = `${i}`.padStart(60, 'a')
      mkdirSync(join(folder.path, 'logs', name))
      folder.write(`logs/${name}/log.json`, folder.read('logs/main/log.json'))
    }
    const server = await folder.start({ 'log-level': 'silent' })
    await makeKey(server.url, folder.provisioning, 'writer')
    await server.close()
    folder.write('logs/main/log.json', `${folder.read('logs/main/log.json')} `)
    await folder.once({ 'log-level': 'silent' })
    expect(changes(await folder.lines())).toEqual([[], ['log main']])
  },
)
