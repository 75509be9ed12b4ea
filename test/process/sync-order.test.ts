import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Ledger } from './ledger.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { submit } from './submission.ts'
import { traceProcess, whyNoStrace } from './syscalls.ts'

const LIMIT = { timeout: 60_000 }
const APPENDS = 5
const missing = whyNoStrace()
if (missing !== undefined) console.info(`order of syncs: skipped, for ${missing}`)

/** What an append does to the disk, and only then to the network. */
const STEPS = ['write log', 'sync log', 'write head', 'sync head', 'answer']

test.skipIf(missing !== undefined)(
  'an answer leaves after the entry and its head were written and synced in both places',
  LIMIT,
  async () => {
    const log = await makeLogFolder()
    const server = new ServerProcess(log.folder)
    const url = prefix(await server.url)
    const trace = `${testFolder()}/trace`
    const { ended } = await traceProcess(server.pid, log.folder, trace)
    const connection = new Connection(url)
    for (let i = 0; i < APPENDS; i++) {
      const submission = { route: 'v1/entries', entries: [`entry ${i}`] } as const
      expect(await submit(connection, submission, new Ledger())).toMatchObject({ status: 200 })
    }
    connection.close()
    await server.kill()
    await ended
    expect(stepsIn(trace)).toEqual(Array.from({ length: APPENDS }, () => STEPS).flat())
  },
)

/** The steps of appends, in the order in which they were over; an answer counts from its beginning. */
function stepsIn(trace: string): string[] {
  const begun = new Map<string, string>()
  return readFileSync(trace, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const thread = line.split(' ', 1)[0]!
      const unfinished = line.endsWith('<unfinished ...>')
      const step = / resumed>/.test(line) ? begun.get(thread) : stepOf(line)
      begun.delete(thread)
      if (step === undefined || (unfinished && step !== 'answer')) {
        if (step !== undefined) begun.set(thread, step)
        return []
      }
      return [step]
    })
}

function stepOf(line: string): string | undefined {
  const [, call, fd, file] = /^\d+ +(\w+)\((\d+)<([^>]*)>/.exec(line) ?? []
  // What the server says of itself on standard error goes through a socket, too.
  if (file === undefined || Number(fd) <= 2) return undefined
  const does = call === 'fdatasync' ? 'sync' : 'write'
  if (/database\/\d+\.log$/.test(file)) return `${does} log`
  if (file.endsWith('/main/head')) return `${does} head`
  return /^(socket|TCP)/.test(file) ? 'answer' : undefined
}
