import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, onTestFinished, test } from 'vitest'
import { createLog, initDataFolder, logFiles } from '../../src/instance/data-folder.ts'
import { testFolder } from '../support/folder.ts'
import { ListeningProcess, MAIN } from '../support/process.ts'

const LIMIT = { timeout: 60_000 }

/** A server on two logs, the second of which is not opened before its policy can be read to the end. */
class SlowStart extends ListeningProcess {
  readonly #policy: string
  /** Resolves once the first log is open. */
  readonly opening = this.said(/("log":"first")/)
  readonly listening = this.said(/(listening)/)
  /** Resolves once it has told what came of a SIGHUP. */
  readonly hasIgnored = this.said(/(nothing to read again)/)

  private constructor(folder: string, policy: string, flags: readonly string[]) {
    super(['serve', '--data', folder, '--port', '0', '--open', ...flags])
    this.#policy = policy
  }

  static async begin(...flags: string[]): Promise<SlowStart> {
    const folder = `${testFolder()}/data`
    await initDataFolder(folder)
    for (const name of ['first', 'second']) {
      await createLog(folder, { name, origin: `log.example/${name}`, allowDuplicates: false })
    }
    const { policy } = logFiles(folder, 'second')
    execFileSync('mkfifo', [policy])
    const server = new SlowStart(folder, policy, flags)
    await server.opening
    return server
  }

  /** Lets the opening go on. */
  goOn(): void {
    writeFileSync(this.#policy, 'quorum none\n')
  }
}

test(
  'a server that is told to stop while it opens its logs ends with 0, and never listens',
  LIMIT,
  async () => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      const server = await SlowStart.begin()
      server.signal(signal)
      server.goOn()
      expect(await server.exited).toEqual({ code: 0, signal: null })
      expect(server.output).not.toContain('listening')
    }
  },
)

test('SIGHUP leaves a server running that has nothing to read again', LIMIT, async () => {
  const server = await SlowStart.begin()
  server.goOn()
  await server.listening
  server.signal('SIGHUP')
  await server.hasIgnored
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

test(
  'an opening that hangs is ended stop-timeout-seconds after a signal, and at once by a second one',
  LIMIT,
  async () => {
    const hanging = await SlowStart.begin('--stop-timeout-seconds', '0.3')
    expect(await hanging.stop()).toEqual({ code: null, signal: 'SIGKILL' })
    const impatient = await SlowStart.begin()
    // Two of one kind could arrive as one.
    impatient.signal('SIGTERM')
    impatient.signal('SIGINT')
    expect(await impatient.exited).toEqual({ code: 130, signal: null })
  },
)

/** A command that waits for its input, as the first process of a container. */
function firstProcess(): ChildProcess {
  const own = ['--user', '--map-root-user', '--pid', '--fork', '--kill-child']
  const child = spawn('unshare', [...own, process.execPath, MAIN, 'policy', 'check', '-'], { stdio: 'pipe' })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

test(
  'SIGTERM and SIGINT end the first process of a container, which has no default for them',
  LIMIT,
  async ({ skip }) => {
    const tried = spawnSync('unshare', ['--user', '--map-root-user', '--pid', '--fork', 'true'])
    if (tried.status !== 0) return skip('no process namespaces on this machine')
    for (const [signal, code] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      const child = firstProcess()
      const children = `/proc/${child.pid}/task/${child.pid}/children`
      // Node itself takes some time before it runs a line of ours, and what comes then is lost: asked until it listens.
      const ask = (): number | null => {
        const pid = Number(readFileSync(children, 'utf8').trim())
        if (pid > 0) process.kill(pid, signal)
        return child.exitCode
      }
      await expect.poll(() => child.exitCode ?? ask(), { timeout: 25_000, interval: 200 }).toBe(code)
    }
  },
)
