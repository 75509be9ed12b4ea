import { readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { Load } from './load.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { Random, seedOfRun } from './random.ts'
import { submit } from './submission.ts'
import { whyNoStrace } from './syscalls.ts'

const LIMIT = { timeout: 120_000 }
const ROUNDS = 3
/** What the flag says, and a second for the process itself to end. */
const STOP_SECONDS = 4
const STOP_MS = STOP_SECONDS * 1000 + 1000

test(
  'restarts under load lose nothing that was acknowledged, and take as long as is said',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const ledger = new Ledger()
    const examiner = new Examiner(log, ledger)
    const random = new Random(seedOfRun('restart'))
    let server = new ServerProcess(log.folder, { flags: [`--stop-timeout-seconds=${STOP_SECONDS}`] })
    const url = await server.url
    const port = new URL(url).port
    const flags = [`--port=${port}`, `--stop-timeout-seconds=${STOP_SECONDS}`]
    const times: { stopMs: number; startMs: number }[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const load = new Load({ url: prefix(url), ledger, random, writers: 16, name: `round ${round}` })
      await wait(700)
      const toldMs = performance.now()
      expect(await server.stop()).toEqual({ code: 0, signal: null })
      const stopMs = performance.now() - toldMs
      expect(stopMs).toBeLessThan(STOP_MS)
      await load.done
      expect(load.outcomes.filter(({ status }) => status === 200).length).toBeGreaterThan(50)

      server = new ServerProcess(log.folder, { flags })
      expect(await server.url).toBe(url)
      expect((await new Connection(url).ask('/readyz')).status).toBe(200)
      times.push({ stopMs, startMs: performance.now() - toldMs - stopMs })
      await examiner.examine(prefix(url))
    }
    console.info('restart:', JSON.stringify(times), JSON.stringify(examiner.tally))
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  },
)

const missing = whyNoStrace()
const HANG_MS = 8000

test.skipIf(missing !== undefined)(
  'a stop ends in time though the disk hangs, and what was acknowledged before is there',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const ledger = new Ledger()
    const hang = `inject=fsync,fdatasync:delay_enter=${HANG_MS * 1000}:when=2+`
    const server = new ServerProcess(log.folder, {
      flags: ['--stop-timeout-seconds=1'],
      wrapper: [
        'strace',
        '-D',
        '-f',
        '-o',
        '/dev/null',
        '-P',
        `${log.files.folder}/head`,
        '-e',
        'trace=fsync,fdatasync',
        '-e',
        hang,
      ],
      env: { UV_THREADPOOL_SIZE: '1' },
    })
    const url = await server.url
    const add = (entry: string) =>
      submit(new Connection(prefix(url)), { route: 'v1/entries', entries: [entry] }, ledger)
    expect((await add('before')).status).toBe(200)
    const stuck = add('stuck')
    // Answered behind it: the server has begun to commit it by then.
    expect((await new Connection(url).ask('/healthz')).status).toBe(200)
    const toldMs = performance.now()
    server.signal('SIGTERM')
    // The tracer holds the thread that hangs, so the rest of the process is what can be seen to end.
    await expect.poll(() => hasEnded(server.pid), { timeout: HANG_MS }).toBe(true)
    const tookMs = performance.now() - toldMs
    console.info('stop with a hanging disk:', Math.round(tookMs))
    expect(tookMs).toBeLessThan(HANG_MS / 2)
    expect(await server.exited).toEqual({ code: null, signal: 'SIGKILL' })
    expect(server.output).toContain('stopping took too long')
    expect((await stuck).status).toBe(undefined)

    const again = new ServerProcess(log.folder)
    await new Examiner(log, ledger).examine(prefix(await again.url))
    expect(await again.stop()).toEqual({ code: 0, signal: null })
  },
)

/** True once the first thread of a process is gone, whatever the others do. */
function hasEnded(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.startsWith('Z')
  } catch {
    return true
  }
}
