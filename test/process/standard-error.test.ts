import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants, openSync, writeSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { dataFolder } from '../cli/fixture.ts'
import { testFolder } from '../support/folder.ts'
import { MAIN, SteleProcess } from '../support/process.ts'

/*
 * Standard error is a side channel: a full disk under it, a collector that ended, or one that stopped reading must neither
 * end a service nor stop it.
 */

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

function start(args: readonly string[], stderr: 'pipe' | number): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', stderr] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

async function metricsOf(url: string): Promise<string> {
  return (await fetch(`${url}/metrics`)).text()
}

/** Asks until the service answers. */
async function answering(url: string): Promise<void> {
  await vi.waitUntil(() => metricsOf(url).then(Boolean, () => false), { timeout: 15_000, interval: 100 })
}

async function stop(child: ChildProcess): Promise<number | null> {
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  return ((await exited) as [number | null])[0]
}

/** Makes the server write about `lines` lines: each refusal is one. */
async function refuse(url: string, lines: number): Promise<void> {
  const codes = Array.from({ length: lines }, (_, i) => fetch(`${url}/v1/entries/${i}?${'x'.repeat(900)}=1`))
  for (const { status } of await Promise.all(codes)) expect(status).toBeGreaterThanOrEqual(400)
}

/** Writes to a pipe until it takes no more. */
function fill(fd: number): void {
  const bytes = Buffer.alloc(4096)
  expect(() => {
    for (;;) writeSync(fd, bytes)
  }).toThrow('EAGAIN')
}

const FULL_DISK = '/dev/full'

test('a log server whose standard error is on a full disk serves, takes entries, and counts the lost lines', async () => {
  const { data } = await dataFolder()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = start(['serve', '--data', data, '--port', String(port), '--open'], openSync(FULL_DISK, 'w'))
  await answering(url)
  await refuse(url, 3)
  const added = await fetch(`${url}/logs/main/v1/entries`, { method: 'POST', body: 'entry' })
  expect(added.status).toBe(200)
  const [, lost] = /^stele_stderr_lines_lost (\d+)$/m.exec(await metricsOf(url)) ?? []
  expect(Number(lost)).toBeGreaterThan(0)
  expect(await stop(server)).toBe(0)
})

test('a log server whose collector has ended goes on', async () => {
  const { data } = await dataFolder()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const server = start(['serve', '--data', data, '--port', String(port), '--open'], 'pipe')
  await answering(url)
  server.stderr!.destroy()
  await refuse(url, 3)
  await vi.waitUntil(async () => /^stele_stderr_lines_lost [1-9]/m.test(await metricsOf(url)))
  expect(await stop(server)).toBe(0)
})

test('a log server whose collector has stopped reading goes on', async () => {
  const { data } = await dataFolder()
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const args = ['serve', '--data', data, '--port', String(port), '--open']
  const pipe = join(testFolder(), 'stderr')
  execFileSync('mkfifo', [pipe])
  // Held open at both ends, never read, and full from the start.
  fill(openSync(pipe, constants.O_RDWR | constants.O_NONBLOCK))
  const server = start(args, openSync(pipe, 'r+'))
  await answering(url)
  await refuse(url, 3)
  const added = await fetch(`${url}/logs/main/v1/entries`, { method: 'POST', body: 'entry' })
  expect(added.status).toBe(200)
  expect(await stop(server)).toBe(0)
})

test('a witness and a monitor whose standard error is on a full disk go on', async () => {
  const { key } = await dataFolder()
  const folder = join(testFolder(), 'witness')
  const made = new SteleProcess([
    'witness',
    'init',
    '--name',
    'w.example/w',
    '--data',
    folder,
    '--only',
    'ed25519',
  ])
  expect(await made.exited).toEqual({ code: 0, signal: null })
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const witness = start(
    ['witness', 'serve', '--data', folder, '--port', String(port)],
    openSync(FULL_DISK, 'w'),
  )
  await answering(url)
  expect(await metricsOf(url)).toMatch(/^stele_stderr_lines_lost [1-9]/m)
  expect(await stop(witness)).toBe(0)

  // It warns of a log that it cannot reach at every round.
  const log = `http://127.0.0.1:${await freePort()}/logs/main`
  const metricsPort = await freePort()
  const state = join(testFolder(), 'state')
  const flags = ['--state', state, '--interval', '1', '--metrics-port', String(metricsPort)]
  const monitor = start(['monitor', log, '--key', key, ...flags], openSync(FULL_DISK, 'w'))
  await answering(`http://127.0.0.1:${metricsPort}`)
  const lost = /^stele_monitor_stderr_lines_lost [1-9]/m
  await vi.waitUntil(async () => lost.test(await metricsOf(`http://127.0.0.1:${metricsPort}`)), {
    timeout: 15_000,
  })
  expect(await stop(monitor)).toBe(0)
})
