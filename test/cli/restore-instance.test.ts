import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import type { MadeKey } from '../../src/access/keyring.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { testFolder } from '../support/folder.ts'
import { lines, stele, type Ran } from './fixture.ts'
import { makeInstanceFolder } from '../support/instance-folder.ts'

let root = ''
beforeEach(() => {
  root = testFolder()
})
const place = (name: string): string => join(root, name)

interface Instance {
  readonly url: string
  key(role: string): Promise<string>
  close(): Promise<void>
}

/** An instance with access control: a public log, a private one, and the log of who did what. */
async function made(): Promise<string> {
  const { data, provisioning } = await makeInstanceFolder(['main'], ['secret'], place('data'))
  writeFileSync(place('provisioning'), provisioning)
  return data
}

async function served(data: string): Promise<Instance> {
  const config = loadConfig({ flags: { data, port: 0, 'log-level': 'silent' } })
  const server = await createServer(config, pino({ level: 'silent' }))
  let closed: Promise<void> | undefined
  const close = (): Promise<void> => (closed ??= server.close())
  onTestFinished(close)
  const key = async (role: string): Promise<string> => {
    const answer = await fetch(`${server.url}/v1/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${readFileSync(place('provisioning'), 'utf8')}` },
      body: JSON.stringify({ role, logs: '*' }),
    })
    expect(answer.status).toBe(201)
    return ((await answer.json()) as MadeKey).key
  }
  return { url: server.url, key, close }
}

async function append({ url, key }: Instance, log: string, size: number): Promise<void> {
  const answer = await fetch(`${url}/logs/${log}/v1/batches`, {
    method: 'POST',
    body: lines(size),
    headers: { 'content-type': 'application/x-ndjson', authorization: `Bearer ${await key('writer')}` },
  })
  expect(answer.status).toBe(200)
}

interface AdminLine {
  readonly act: string
  readonly by: string
  readonly after: { readonly log: string; readonly treeSize?: number; readonly repaired?: object }
}

/** What the meta log says of restores and repairs. */
async function acts(data: string): Promise<AdminLine[]> {
  const { code, out } = await stele(['meta', '--data', data, '--kind', 'admin', '--all', '--json'])
  expect(code).toBe(0)
  const all = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as AdminLine)
  return all.filter(({ act }) => act === 'restore' || act === 'repair')
}

const restore = (log: string, data: string, from: string): Promise<Ran> =>
  stele(['restore', log, '--data', data, '--from', from, '--json'])

test('all of an instance is saved while it is served, and restored: logs, keys, and who did what', async () => {
  const data = await made()
  const instance = await served(data)
  await append(instance, 'main', 300)
  await append(instance, 'secret', 20)
  const all = ['backup', '--all', '--with-keys', '--data', data, '--url', instance.url]
  // Without a key nobody reads a private log; half a backup is none.
  const anonymous = await stele([...all, '--to', place('anonymous')])
  expect(anonymous.code).not.toBe(0)
  expect(existsSync(join(place('anonymous'), 'access.json'))).toBe(false)
  const auditor = await instance.key('auditor')
  const saved = await stele([...all, '--to', place('backup')], { env: { STELE_API_KEY: auditor } })
  expect([saved.code, readdirSync(place('backup')).toSorted()]).toEqual([
    0,
    ['access.json', 'main', 'meta', 'secret'],
  ])
  expect(statSync(join(place('backup'), 'access.json')).mode % 0o1000).toBe(0o600)
  await instance.close()

  const to = place('restored')
  const restored = await stele(['restore', '--all', '--data', to, '--from', place('backup')])
  expect(restored.code).toBe(0)
  expect(restored.err).toContain('access.json is as old as the backup')
  for (const name of ['access.json', 'logs/main/log.json', 'logs/secret/log.json', 'logs/meta/log.json']) {
    expect(readFileSync(join(to, name)), name).toEqual(readFileSync(join(data, name)))
  }
  expect(statSync(join(to, 'access.json')).mode % 0o1000).toBe(0o600)
  expect((await stele(['fsck', to])).code).toBe(0)
  expect((await acts(to)).map(({ by, act, after }) => [by, act, after.log, after.treeSize])).toEqual([
    ['host', 'restore', 'main', 300],
    ['host', 'restore', 'secret', 20],
  ])
  // It is served, the keys of before work, and nobody tampered with what the meta log has on record.
  const again = await served(to)
  const headers = { authorization: `Bearer ${auditor}` }
  expect((await fetch(`${again.url}/logs/secret/checkpoint`)).status).toBe(404)
  expect((await fetch(`${again.url}/logs/secret/v1/entries/7`, { headers })).status).toBe(200)
  await append(again, 'secret', 40)
  await again.close()
})

test('a private log is taken from its server with a key, which no other copy is shown unless a flag says so', async () => {
  const data = await made()
  const instance = await served(data)
  await append(instance, 'secret', 20)
  writeFileSync(place('key'), await instance.key('reader'), { mode: 0o600 })
  const env = { STELE_API_KEY: readFileSync(place('key'), 'utf8') }
  const folder = join(data, 'logs/secret')
  const from = [
    '--from',
    `${instance.url}/logs/secret`,
    '--log-json',
    join(folder, 'log.json'),
    '--no-policy',
  ]
  const keys = ['--skey', join(folder, 'log.skey'), '--tree-head-key', join(folder, 'tree-head.pem')]
  const args = ['restore', 'secret', '--data', place('restored'), ...from, ...keys, '--not-frozen', '--json']
  expect((await stele(args, { env })).code).toBe(4)
  const two = [...args, '--api-key-file', place('key'), '--mirror', 'http://127.0.0.1:9/logs/secret']
  const refused = await stele(two)
  expect([refused.code, refused.err]).toEqual([2, expect.stringContaining('expected URLs of one server')])
  const restored = await stele([...args, '--api-key-file', place('key')])
  expect([restored.code, JSON.parse(restored.out)]).toMatchObject([0, { treeSize: 20, reads: 'private' }])
})

test('a restore of everything that was cut short goes on, and never overwrites', async () => {
  const data = await made()
  await (await served(data)).close()
  await stele(['backup', '--all', '--with-keys', '--data', data, '--to', place('backup')])
  const to = place('restored')
  const from = ['--from', place('backup')]
  expect((await stele(['restore', '--all', '--data', to, ...from])).code).toBe(0)
  rmSync(join(to, 'logs/secret'), { recursive: true })
  const before = readFileSync(join(to, 'logs/main/head'))
  const again = await stele(['restore', '--all', '--data', to, ...from])
  expect([again.code, again.err]).toEqual([0, expect.stringContaining('main: it exists, and is not changed')])
  expect(readFileSync(join(to, 'logs/main/head'))).toEqual(before)
  expect(readdirSync(join(to, 'logs')).toSorted()).toEqual(['main', 'meta', 'secret'])
  const single = ['--seen', join(place('backup'), 'main/checkpoint')]
  expect((await stele(['restore', '--all', '--data', to, ...from, ...single])).code).toBe(2)
  expect((await stele(['restore', '--all', '--data', to, '--from', place('nothing')])).code).toBe(4)
  expect((await stele(['restore', '--data', to, ...from])).code).toBe(2)
})

test('a restore is not made where the meta log cannot have its line', async () => {
  const data = await made()
  await stele(['backup', '--all', '--with-keys', '--data', data, '--to', place('backup')])
  rmSync(join(data, 'logs/main'), { recursive: true })
  const instance = await served(data)
  expect((await restore('main', data, join(place('backup'), 'main'))).code).toBe(32)
  expect(existsSync(join(data, 'logs/main'))).toBe(false)
  await instance.close()
  expect((await restore('main', data, join(place('backup'), 'main'))).code).toBe(0)
  expect((await acts(data)).map(({ after }) => after.log)).toEqual(['main'])

  rmSync(join(data, 'logs/meta'), { recursive: true })
  rmSync(join(data, 'logs/main'), { recursive: true })
  const refused = await restore('main', data, join(place('backup'), 'main'))
  expect([refused.code, refused.err]).toEqual([30, expect.stringContaining('restore that one first')])
  expect(existsSync(join(data, 'logs/main'))).toBe(false)
  expect((await restore('meta', data, join(place('backup'), 'meta'))).code).toBe(0)
  expect((await restore('main', data, join(place('backup'), 'main'))).code).toBe(0)
  // What was written since the backup is gone with the meta log that had it; what was done to it is its next line.
  expect((await acts(data)).map(({ after }) => after.log)).toEqual(['meta', 'main'])
})

test('a repair leaves a line, and a look at what it would do leaves none', async () => {
  const data = await made()
  const instance = await served(data)
  await append(instance, 'main', 300)
  await instance.close()
  await stele(['backup', 'main', '--data', data, '--to', place('backup')])
  const repair = ['repair', 'main', '--data', data, '--from', place('backup')]
  expect((await stele([...repair, '--dry-run'])).code).toBe(0)
  expect(await acts(data)).toEqual([])
  expect((await stele(repair)).code).toBe(0)
  const [line] = await acts(data)
  expect(line).toMatchObject({ by: 'host', act: 'repair', after: { log: 'main', repaired: { entries: 0 } } })
})
