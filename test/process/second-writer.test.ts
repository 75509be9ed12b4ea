import { expect, test } from 'vitest'
import { EXIT_CODES } from '../../src/cli/exit-codes.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { Examiner } from './examiner.ts'
import { Ledger } from './ledger.ts'
import { makeLogFolder, prefix } from './log-folder.ts'
import { submit } from './submission.ts'

test('a second server on the same folder names the lock and ends, and the first goes on', async () => {
  const log = await makeLogFolder()
  const ledger = new Ledger()
  const first = new ServerProcess(log.folder)
  const url = prefix(await first.url)
  const connection = new Connection(url)
  const add = (entry: string) => submit(connection, { route: 'v1/entries', entries: [entry] }, ledger)
  expect(await add('before')).toMatchObject({ status: 200 })

  const second = new ServerProcess(log.folder)
  expect(await second.exited).toEqual({ code: EXIT_CODES.locked, signal: null })
  expect(second.output).toMatch(/stele: .*database: another process has this log open; stop it first/)

  expect(await add('after')).toMatchObject({ status: 200 })
  const examiner = new Examiner(log, ledger)
  await examiner.examine(url)
  expect(examiner.twin.entries).toEqual(['before', 'after'])
  connection.close()
})
