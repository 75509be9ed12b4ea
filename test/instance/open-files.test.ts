import { writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { affordableConnections, openFileLimit } from '../../src/instance/open-files.ts'
import { makeLogFolder } from '../process/log-folder.ts'
import { testFolder } from '../support/folder.ts'
import { ServerProcess } from '../support/process.ts'

test('connections are as many as wanted where the files allow it, and never take a log its own', () => {
  expect(affordableConnections(10_000, 1, 1_000_000)).toBe(10_000)
  expect(affordableConnections(10_000, 1, 1024)).toBe(1024 - 64 - 164)
  expect(affordableConnections(100, 3, 1024)).toBe(100)
  expect(affordableConnections(100, 50, 1024)).toBe(1)
  expect(affordableConnections(100, 1, undefined)).toBe(100)
})

test('the limit is the soft one of the process', () => {
  const file = `${testFolder()}/limits`
  const line = (soft: string): string =>
    `Limit   Soft Limit  Hard Limit  Units\nMax open files   ${soft}   4096  files\n`
  writeFileSync(file, line('1024'))
  expect(openFileLimit(file)).toBe(1024)
  writeFileSync(file, line('unlimited'))
  expect(openFileLimit(file)).toBe(undefined)
  expect(openFileLimit(`${file}.none`)).toBe(undefined)
})

test('a process that may open few files says that it takes fewer connections', async () => {
  const { folder } = await makeLogFolder()
  const server = new ServerProcess(folder, { wrapper: ['sh', '-c', 'ulimit -n 400; exec "$@"', 'sh'] })
  await server.url
  expect(server.output).toContain('"configured":10000,"maxConnections":172,"files":400')
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})
