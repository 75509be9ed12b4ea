import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { initAccess } from '../../src/server/access-files.ts'
import { loadConfig } from '../../src/server/config.ts'
import { createLog, initDataFolder } from '../../src/server/data-folder.ts'
import { startServer, type RunningServer } from '../../src/server/start.ts'
import { testFolder } from '../support/folder.ts'

const HOUR_MS = 3_600_000

/** A data folder whose logs signed their heads at this time. */
async function madeAt(nowMs: number): Promise<string> {
  const data = `${testFolder()}/data`
  await initDataFolder(data)
  await createLog(data, { name: 'main', origin: 'log.example/main', allowDuplicates: false }, nowMs)
  await initAccess(data, 'log.example/meta', nowMs)
  return data
}

async function started(flags: Record<string, unknown>): Promise<RunningServer> {
  const config = loadConfig({ flags: { port: 0, 'log-level': 'silent', ...flags } })
  const server = await startServer(config, pino({ level: 'silent' }))
  onTestFinished(() => server.close())
  return server
}

test.each(['::1', '[::1]'])('a server listens on %s', async (host) => {
  const data = await madeAt(Date.now())
  const { url } = await started({ data, host })
  expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
})

test('after a downtime longer than stale-head-seconds the logs are ready at once', async () => {
  const data = await madeAt(Date.now() - HOUR_MS)
  const { url } = await started({ data, 'head-interval-seconds': 300, 'stale-head-seconds': 900 })
  await expect.poll(async () => (await fetch(`${url}/readyz`)).status, { timeout: 5000 }).toBe(200)
})
