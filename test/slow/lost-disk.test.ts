import { expect, test, vi } from 'vitest'
import { Connection } from '../process/connection.ts'
import { Examiner } from '../process/examiner.ts'
import { Ledger } from '../process/ledger.ts'
import { makeLogFolder, prefix } from '../process/log-folder.ts'
import { submit } from '../process/submission.ts'
import { ONE_POOL_THREAD, whyNoStrace } from '../process/syscalls.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'

const missing = whyNoStrace()
if (missing !== undefined) console.info(`lost disk: skipped, for ${missing}`)

test.skipIf(missing !== undefined)(
  'a server whose disk cannot even be asked for its room goes on, and opens the log when it can be',
  async () => {
    const log = await makeLogFolder()
    const ledger = new Ledger()
    const spoiled = ['-P', `${log.files.folder}/head`, '-P', log.folder, '-e', 'trace=pwrite64,statfs']
    // Opening writes the head file once more; the write after that is the one of the first commit.
    const faults = ['pwrite64:error=EIO:when=2', 'statfs:error=EIO:when=1'].flatMap((f) => [
      '-e',
      `inject=${f}`,
    ])
    const trace = `${testFolder()}/trace`
    const server = new ServerProcess(log.folder, {
      wrapper: ['strace', '-D', '-f', '-o', trace, ...spoiled, ...faults],
      env: ONE_POOL_THREAD,
    })
    const at = await server.url
    const [connection, instance] = [new Connection(prefix(at)), new Connection(at)]
    const add = (entry: string) => submit(connection, { route: 'v1/entries', entries: [entry] }, ledger)
    expect(await add('one')).toMatchObject({ status: 503, code: 'outcome_unknown' })
    await vi.waitUntil(async () => (await instance.ask('/readyz')).status === 200, { timeout: 30_000 })
    expect(await add('one')).toMatchObject({ status: 200 })
    await new Examiner(log, ledger).examine(prefix(at))
    connection.close()
    instance.close()
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  },
)
