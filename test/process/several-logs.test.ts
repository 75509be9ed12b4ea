import { cpSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createLog, logFiles } from '../../src/instance/data-folder.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'
import { Connection } from './connection.ts'
import { makeLogFolder } from './log-folder.ts'

interface Listed {
  readonly name: string
  readonly state: string
  readonly ready?: boolean
  readonly reason?: string
  readonly treeSize?: number
}

const byName = (logs: readonly Listed[]) => new Map(logs.map((log) => [log.name, log]))

test('a log without its head file and one that was rolled back leave the others serving', async () => {
  const { folder } = await makeLogFolder()
  for (const name of ['older', 'headless']) {
    await createLog(folder, { name, origin: `log.example/${name}`, allowDuplicates: false, reads: 'public' })
  }
  const names = ['main', 'older', 'headless']
  const older = logFiles(folder, 'older')
  const copy = `${testFolder()}/copy`
  await appendToEach(folder, names, 'yesterday')
  cpSync(older.database, copy, { recursive: true })
  await appendToEach(folder, names, 'today')
  rmSync(older.database, { recursive: true })
  renameSync(copy, older.database)
  rmSync(`${logFiles(folder, 'headless').folder}/head`)
  const headBefore = readFileSync(`${older.folder}/head`)

  const server = new ServerProcess(folder)
  const connection = new Connection(await server.url)
  const listed = byName((await connection.json<{ logs: Listed[] }>('/v1/logs')).logs)
  expect(listed.get('main')).toMatchObject({ state: 'serving', treeSize: 2 })
  expect(listed.get('older')).toMatchObject({ state: 'failed' })
  expect(listed.get('older')?.reason).toMatch(/database ends at size 1, but a head of size 2 was signed/)
  expect(listed.get('headless')?.reason).toMatch(/the second copy of the last signed head is not there/)

  const ready = byName((await connection.json<{ logs: Listed[] }>('/readyz', 503)).logs)
  expect([...ready.values()].map(({ name, ready }) => [name, ready])).toEqual(
    expect.arrayContaining([
      ['main', true],
      ['older', false],
      ['headless', false],
    ]),
  )
  expect(ready.get('older')?.reason).toBe(listed.get('older')?.reason)

  for (const name of ['older', 'headless']) {
    const answer = await append(connection, name, 'tomorrow')
    expect(answer.status).toBe(503)
    expect(JSON.parse(String(answer.body))).toMatchObject({ code: 'log_halted' })
  }
  expect((await append(connection, 'main', 'tomorrow')).status).toBe(200)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  // Nothing was signed for it: what it was known by is what it was.
  expect(readFileSync(`${older.folder}/head`).equals(headBefore)).toBe(true)
})

async function appendToEach(folder: string, names: readonly string[], entry: string): Promise<void> {
  const server = new ServerProcess(folder)
  const connection = new Connection(await server.url)
  for (const name of names) expect((await append(connection, name, entry)).status).toBe(200)
  connection.close()
  expect(await server.stop()).toEqual({ code: 0, signal: null })
}

function append(connection: Connection, name: string, entry: string) {
  return connection.ask(`/logs/${name}/v1/entries`, { method: 'POST', body: Buffer.from(entry) })
}
