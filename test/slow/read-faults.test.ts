import { cpSync, readdirSync, rmSync } from 'node:fs'
import { relative } from 'node:path'
import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { Connection } from '../process/connection.ts'
import { Examiner } from '../process/examiner.ts'
import { Ledger } from '../process/ledger.ts'
import { makeLogFolder, prefix, type LogFolder } from '../process/log-folder.ts'
import { submit } from '../process/submission.ts'
import { ONE_POOL_THREAD, whyNoStrace } from '../process/syscalls.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'

const missing = whyNoStrace()
if (missing !== undefined) console.info(`failing reads: skipped, for ${missing}`)

/** What an opening that fails may look like: the first time a file cannot be opened, or not be read. */
const FAULTS = ['openat:error=EMFILE', 'openat:error=EIO', 'read,pread64:error=EIO']

test.skipIf(missing !== undefined)(
  'a server that cannot read a file when it opens its folder says so, and the folder is as good as before',
  async () => {
    const log = await makeLogFolder()
    const ledger = new Ledger()
    await appendSome(log, ledger)
    const files = filesOf(log.folder)
    expect(files.length).toBeGreaterThan(10)
    const copy = `${testFolder()}/data`
    let refused = 0
    for (const file of files) {
      for (const fault of FAULTS) {
        cpSync(log.folder, copy, { recursive: true })
        const code = await openWith(copy, file, fault)
        // Not every file is needed to open a log.
        expect([0, EXIT_CODES.io_error], `${file}: ${fault}`).toContain(code)
        if (code !== 0) refused++
        const server = new ServerProcess(copy)
        await new Examiner(log, ledger).examine(prefix(await server.url))
        await server.kill()
        rmSync(copy, { recursive: true })
      }
    }
    console.info(`failing reads: ${files.length * FAULTS.length} faults, ${refused} refused`)
    expect(refused).toBeGreaterThan(10)
  },
)

/** Entries that are in LevelDB's write-ahead log alone: the server is killed, so that none was moved to a table. */
async function appendSome(log: LogFolder, ledger: Ledger): Promise<void> {
  const server = new ServerProcess(log.folder)
  const connection = new Connection(prefix(await server.url))
  const entries = Array.from({ length: 300 }, (_, i) => `entry ${i}`)
  expect(await submit(connection, { route: 'ndjson', entries }, ledger)).toMatchObject({ status: 200 })
  connection.close()
  await server.kill()
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => relative(folder, `${file.parentPath}/${file.name}`))
}

/** Starts a server in which the first call of a kind on a file fails, and stops it again if that did not end it. */
async function openWith(folder: string, file: string, fault: string): Promise<number | null> {
  const trace = `${testFolder()}/trace`
  const [calls] = fault.split(':')
  const inject = ['-e', `trace=${calls}`, '-e', `inject=${fault}:when=1`]
  const server = new ServerProcess(folder, {
    wrapper: ['strace', '-D', '-f', '-P', `${folder}/${file}`, '-o', trace, ...inject],
    env: ONE_POOL_THREAD,
  })
  await server.url.catch(() => undefined)
  return (await server.stop()).code
}
