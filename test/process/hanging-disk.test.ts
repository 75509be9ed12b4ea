import { spawn } from 'node:child_process'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLog, logFiles } from '../../src/instance/data-folder.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { makeLogFolder } from './log-folder.ts'
import { whyNoStrace } from './syscalls.ts'

const missing = whyNoStrace()
if (missing !== undefined) console.info(`hanging disk: skipped, for ${missing}`)

const HANGING = ['one', 'two', 'three', 'four']
const HOUR_US = 3_600_000_000

/**
 * The disk of these files takes no sync any more: each one waits for an hour.
 *
 * @returns what ends that; a process cannot end before
 */
async function hang(pid: number, files: readonly string[]): Promise<() => void> {
  const inject = ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:delay_enter=${HOUR_US}`]
  const paths = files.flatMap((file) => ['-P', file])
  const options = ['-f', '-o', `${testFolder()}/trace`, ...paths, ...inject, '-p', String(pid)]
  const strace = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] })
  onTestFinished(() => void strace.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    strace.stderr.on('data', (said: Buffer) => {
      if (String(said).includes('attached')) resolve()
      else reject(new Error(`strace: ${String(said)}`))
    })
    strace.once('error', reject)
  })
  return () => void strace.kill('SIGKILL')
}

test.skipIf(missing !== undefined)(
  'a disk that hangs under four logs is named, and the log on another disk goes on',
  { timeout: 90_000 },
  async () => {
    const { folder } = await makeLogFolder()
    for (const name of HANGING)
      await createLog(folder, {
        name,
        origin: `log.example/${name}`,
        allowDuplicates: false,
        reads: 'public',
      })
    const server = new ServerProcess(folder)
    const url = await server.url
    const end = await hang(
      server.pid,
      HANGING.map((name) => `${logFiles(folder, name).folder}/head`),
    )
    const append = (name: string): Promise<Response> =>
      fetch(`${url}/logs/${name}/v1/entries`, { method: 'POST', body: name })
    for (const name of HANGING) append(name).catch(() => {})
    const age = new RegExp(`^stele_queue_age_seconds\\{log="(${HANGING.join('|')})"\\} [1-9]`, 'gm')
    const waiting = async (): Promise<boolean> => {
      const text = await (await fetch(`${url}/metrics`)).text()
      return [...text.matchAll(age)].length === HANGING.length
    }
    await vi.waitUntil(waiting, { timeout: 30_000 })

    const answer = await fetch(`${url}/logs/main/v1/entries`, {
      method: 'POST',
      body: 'main',
      signal: AbortSignal.timeout(20_000),
    })
    expect(answer.status).toBe(200)
    const named = async (): Promise<string[]> => {
      const { logs } = (await (await fetch(`${url}/readyz`)).json()) as {
        logs: { name: string; reason?: string }[]
      }
      return logs.flatMap(({ name, reason }) => (/disk of this log/.test(reason ?? '') ? [name] : []))
    }
    await vi.waitUntil(async () => (await named()).length === HANGING.length, {
      timeout: 30_000,
      interval: 250,
    })
    expect((await named()).toSorted()).toEqual(HANGING.toSorted())
    expect((await append('main')).status).toBe(200)
    end()
    await server.kill()
  },
)
