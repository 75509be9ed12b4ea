import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { EXIT_CODES, EXIT_NOT_READY } from '../../src/cli/exit-codes.ts'
import { loadConfig } from '../../src/server/config.ts'
import { startServer } from '../../src/server/start.ts'
import { freezeStoredLog } from '../../src/server/freeze.ts'
import { SETTINGS } from '../server/fixture.ts'
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

test('status ends with another code where a log could not be opened, or something else is not as it must be', async () => {
  const { data } = await dataFolder()
  const full = await status(data, { 'min-free-bytes': 2 ** 50 })
  expect(full).toMatchObject({ code: EXIT_NOT_READY, ready: false })
  const broken = await dataFolder()
  chmodSync(join(broken.data, 'logs/main/log.skey'), 0o644)
  const failed = await status(broken.data)
  expect(failed).toMatchObject({ code: EXIT_CODES.log_halted, ready: false })
  expect(failed.text).toContain('NOT READY')
})

test('status ends with 20 where nobody answers', async () => {
  const { code, err } = await stele(['status', '--server', 'http://127.0.0.1:1'])
  expect([code, err]).toEqual([EXIT_CODES.unreachable, expect.stringContaining('127.0.0.1:1')])
})
