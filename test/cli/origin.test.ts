import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { createServer } from '../../src/server/start.ts'
import { Instance } from '../access/instance.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, stele } from './fixture.ts'

const LOOPBACK = /warning: .*names only this machine.*--public-url/

/** A data folder as "init" makes it, and its provisioning key. */
async function initialised(...flags: string[]): Promise<{ data: string; env: Record<string, string> }> {
  const data = join(testFolder(), 'data')
  const init = ['init', '--data', data, '--json', '--provisioning-key-file', '-', ...flags]
  const { provisioningKey } = JSON.parse((await stele(init)).out) as { provisioningKey: string }
  return { data, env: { STELE_API_KEY: provisioningKey } }
}

async function serving(data: string, flags: Record<string, unknown> = {}): Promise<string> {
  const config = loadConfig({ flags: { data, port: 0, 'log-level': 'silent', ...flags } })
  const server = await createServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  return server.url
}

const originIn = (out: string): string => (JSON.parse(out) as { origin: string }).origin

test('a further log has the origin that follows from what init was given, on a server and on its folder', async () => {
  const { data, env } = await initialised('--public-url', 'https://log.example.com/trust/')
  const stopped = await stele(['log', 'create', 'one', '--json', '--data', data])
  expect([originIn(stopped.out), stopped.err]).toEqual(['log.example.com/trust/logs/one', ''])
  const url = await serving(data)
  const served = await stele(['log', 'create', 'two', '--json', '--server', url], { env })
  expect([originIn(served.out), served.err]).toEqual(['log.example.com/trust/logs/two', ''])
})

test('public-url of a server wins over what init was given, and a flag of the command over both', async () => {
  const { data, env } = await initialised()
  const url = await serving(data, { 'public-url': 'https://log.example.org' })
  const create = (name: string, ...flags: string[]) =>
    stele(['log', 'create', name, '--json', '--server', url, ...flags], { env })
  expect(originIn((await create('one')).out)).toBe('log.example.org/logs/one')
  expect(originIn((await create('two', '--public-url', 'https://x.example')).out)).toBe('x.example/logs/two')
  expect(originIn((await create('three', '--origin', 'example/three')).out)).toBe('example/three')
})

test('an origin that names this machine alone is warned of', async () => {
  const { data } = await dataFolder()
  const made = await stele(['log', 'create', 'one', '--data', data])
  expect([made.code, made.err]).toEqual([0, expect.stringMatching(LOOPBACK)])
})

test('where nothing says where others reach the instance, an origin has to be named', async () => {
  const at = await Instance.started()
  const create = ['log', 'create', 'one', '--server', at.url]
  const refused = await stele(create, { env: { STELE_API_KEY: at.provisioning } })
  expect([refused.code, refused.err]).toEqual([21, expect.stringMatching(/--origin.*public-url/)])
  expect((await at.manage('/v1/logs', { name: 'one' })).status).toBe(400)
})

test.each([
  [[], LOOPBACK],
  [['--public-url', 'http://127.0.0.1:7000'], LOOPBACK],
  [['--public-url', 'http://[::1]:7000'], LOOPBACK],
  [['--public-url', 'https://log.example.com'], /^(?!.*names only this machine)/s],
])('init %j warns of an origin that names this machine alone', async (flags, expected) => {
  const data = join(testFolder(), 'data')
  const made = await stele(['init', '--data', data, '--quiet', ...flags])
  expect([made.code, made.err]).toEqual([0, expect.stringMatching(expected)])
})

test.each([
  [
    ['--url', 'http://localhost:7000'],
    'serve --data D --port 7000     serve it on http://127.0.0.1:7000/logs/main',
  ],
  [
    ['--url', 'https://log.example.com:8443'],
    'serve --data D     serve it on http://127.0.0.1:6962/logs/main',
  ],
  [[], 'serve --data D     serve it on http://127.0.0.1:6962/logs/main'],
])('init %j says where the log will be served', async (flags, expected) => {
  const data = join(testFolder(), 'data')
  expect((await stele(['init', '--data', data, ...flags])).err).toContain(expected.replace('D', data))
})
