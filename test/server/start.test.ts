import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { initAccess } from '../../src/instance/access-files.ts'
import { loadConfig } from '../../src/config/config.ts'
import { createLog, initDataFolder } from '../../src/instance/data-folder.ts'
import { createServer, type RunningServer } from '../../src/server/start.ts'
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
  const server = await createServer(config, pino({ level: 'silent' }))
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

test('a head from the future is warned of, shown as it is, and takes entries only where that is allowed', async () => {
  const data = await madeAt(Date.now() + HOUR_MS)
  const said: { level: number; log?: string; msg: string }[] = []
  const log = pino({ level: 'warn' }, { write: (line) => said.push(JSON.parse(line) as never) })
  const server = await createServer(loadConfig({ flags: { port: 0, data, open: true } }), log)
  onTestFinished(() => server.close())
  const warned = said.filter(({ msg }) => /dated/.test(msg))
  expect(warned.map(({ log: name, level }) => [name, level])).toEqual([
    ['main', 40],
    ['meta', 40],
  ])
  expect(warned[0]!.msg).toMatch(/^the newest head of the log is dated .* max-head-ahead-seconds$/)

  const add = (url: string): Promise<Response> =>
    fetch(`${url}/logs/main/v1/entries`, { method: 'POST', body: 'a' })
  const refused = await add(server.url)
  expect([refused.status, (await refused.json()) as object]).toMatchObject([503, { code: 'log_halted' }])
  expect(refused.headers.get('retry-after')).toBe('60')
  const ready = await fetch(`${server.url}/readyz`)
  const { logs } = (await ready.json()) as { logs: { name: string; headAgeMs: number }[] }
  expect(logs.find(({ name }) => name === 'main')).toMatchObject({
    ready: false,
    state: 'halted',
    reason: expect.stringContaining('is dated') as string,
  })
  expect(logs.find(({ name }) => name === 'main')!.headAgeMs).toBeLessThan(-HOUR_MS / 2)
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/stele_head_age_seconds\{log="main"\} -3[56]/)
  expect(metrics).toMatch(/stele_signed_head_age_seconds\{log="main"\} -3[56]/)
  // The audit trail goes on: every answer to a known caller waits for it.
  const meta = server.logs.get('meta')!.log!
  expect(meta.status.state).toBe('serving')
  await server.close()

  const allowed = await started({ data, open: true, 'max-head-ahead-seconds': 7200 })
  expect((await add(allowed.url)).status).toBe(200)
})
