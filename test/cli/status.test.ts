import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { EXIT_CODES, EXIT_NOT_READY } from '../../src/cli/exit-codes.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createServer as startServer } from '../../src/server/start.ts'
import { freezeStoredLog } from '../../src/instance/freeze.ts'
import { SETTINGS } from '../instance/fixture.ts'
import { Instance } from '../access/instance.ts'
import { dataFolder, stele } from './fixture.ts'

/** What `stele status` ends with, of a server on a data folder. */
async function status(
  data: string,
  flags: object = {},
): Promise<{ code: number; ready: boolean; text: string }> {
  const config = loadConfig({ flags: { data, port: 0, open: true, 'log-level': 'silent', ...flags } })
  const server = await startServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  const args = ['status', '--server', server.url]
  const { code, out: text } = await stele(args)
  const asJson = await stele([...args, '--json'])
  expect(asJson.code).toBe(code)
  return { code, text, ready: (JSON.parse(asJson.out) as { ready: boolean }).ready }
}

test('status ends with 0 where every log is ready, a frozen one included', async () => {
  const { data } = await dataFolder()
  expect(await status(data)).toMatchObject({ code: 0, ready: true })
  const frozen = await dataFolder()
  await freezeStoredLog(frozen.data, 'main', SETTINGS, {})
  expect(await status(frozen.data)).toMatchObject({ code: 0, ready: true })
})

test('status ends with another code where something is not as it must be', async () => {
  const { data } = await dataFolder()
  const full = await status(data, { 'min-free-bytes': 2 ** 50 })
  expect(full).toMatchObject({ code: EXIT_NOT_READY, ready: false })
})

test('status ends with the code of a log that takes nothing where a server says that one is halted or failed', async () => {
  for (const state of ['halted', 'failed']) {
    const logs = [{ name: 'main', ready: false, state, reason: 'no space left on device' }]
    const server = createServer((req, res) => {
      const isReady = req.url === '/readyz'
      const body = isReady ? { status: 'not ready', logs } : { logs: [] }
      res.writeHead(isReady ? 503 : req.url === '/v1/logs' ? 200 : 404).end(JSON.stringify(body))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const { code, out } = await stele(['status', '--server', url])
    expect([code, out]).toEqual([EXIT_CODES.log_halted, expect.stringContaining('no space left on device')])
  }
})

test('status lists the keys that end soon to who may see keys, and their number to an operator', async () => {
  const at = await Instance.started()
  const day = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString()
  const make = async (label: string, days: number): Promise<string> => {
    const wanted = { role: 'writer', logs: ['main'], label, expiresAt: day(days) }
    return (await at.ask('POST', '/v1/keys', at.provisioning, wanted)).body['key'] as string
  }
  await make('later', 90)
  await make('for an hour', 1 / 24)
  const operator = await at.key('operator', ['main'])
  // Nobody waits for a key to grow old: one that was made long ago is put into the file while the server is down.
  await at.stop()
  const path = `${at.folder}/access.json`
  const state = JSON.parse(readFileSync(path, 'utf8')) as { keys: Record<string, unknown>[] }
  const old = {
    ...state.keys.find(({ label }) => label === 'later'),
    createdAt: day(-80),
    expiresAt: day(10),
  }
  state.keys.push({ ...old, id: 'abcdefgh23456723', label: 'soon' })
  state.keys.push({ ...old, id: 'bcdefgh234567234', label: 'rotated', successor: 'abcdefgh23456723' })
  writeFileSync(path, JSON.stringify(state), { mode: 0o600 })
  await at.start()

  const ask = async (key: string, ...flags: string[]): Promise<string> =>
    (await stele(['status', '--server', at.url, ...flags], { env: { STELE_API_KEY: key } })).out
  const seen = await ask(at.provisioning)
  expect(seen).toMatch(/^1 API key about to expire within 14 days/m)
  expect(seen).toMatch(/^ {2}abcdefgh23456723 {2}writer {2}main {2}until \S+ {2}soon$/m)
  expect(await ask(operator)).toMatch(/^1 API key about to expire within 14 days, without a successor$/m)
  expect(JSON.parse(await ask(operator, '--json'))).toMatchObject({ endingKeys: { count: 1 } })
  expect((await stele(['status', '--server', at.url])).out).not.toContain('API key')
})

test('status ends with 20 where nobody answers', async () => {
  const { code, err } = await stele(['status', '--server', 'http://127.0.0.1:1'])
  expect([code, err]).toEqual([EXIT_CODES.unreachable, expect.stringContaining('127.0.0.1:1')])
})
