import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createLog, initDataFolder, readLogInfo } from '../../src/instance/data-folder.ts'
import { Instance } from '../access/instance.ts'
import { testFolder } from '../support/folder.ts'
import { stele } from './fixture.ts'

const PRIVATE = { reads: 'private', heads: 'open' }
const PUBLIC = { reads: 'public', heads: 'open' }

const folder = (): string => join(testFolder(), 'data')

test('a log that the library makes is private, and its heads are open', async () => {
  const data = folder()
  await initDataFolder(data)
  const log = { name: 'main', origin: 'log.example/main', allowDuplicates: false }
  expect(await createLog(data, log)).toMatchObject(PRIVATE)
})

test.each([
  ['init', [], PRIVATE],
  ['init', ['--private'], PRIVATE],
  ['init', ['--public'], PUBLIC],
])('%s %j makes a log that is %j', async (command, flags, expected) => {
  const data = folder()
  expect((await stele([command, '--data', data, ...flags])).code).toBe(0)
  expect(await readLogInfo(data, 'main')).toMatchObject(expected)
})

test.each([
  [[], PRIVATE],
  [['--public'], PUBLIC],
])('log create %j makes a log that is %j, in a folder and on a server', async (flags, expected) => {
  const at = await Instance.make()
  const create = (name: string): string[] => ['log', 'create', name, '--origin', `log.example/${name}`]
  expect((await stele([...create('stopped'), ...flags, '--data', at.folder])).code).toBe(0)
  expect(await readLogInfo(at.folder, 'stopped')).toMatchObject(expected)
  await at.start()
  const env = { STELE_API_KEY: at.provisioning }
  expect((await stele([...create('served'), ...flags, '--server', at.url], { env })).code).toBe(0)
  expect(await readLogInfo(at.folder, 'served')).toMatchObject(expected)
})

test('a log that is made over HTTP is private unless it is to be public', async () => {
  const at = await Instance.started()
  await at.manage('/v1/logs', { name: 'one', origin: 'log.example/one' })
  await at.manage('/v1/logs', { name: 'two', origin: 'log.example/two', reads: 'public' })
  expect(await readLogInfo(at.folder, 'one')).toMatchObject(PRIVATE)
  expect(await readLogInfo(at.folder, 'two')).toMatchObject(PUBLIC)
})

test('the log that start makes is private', async () => {
  const data = folder()
  let stop = (): void => {}
  const onOut = (): void => stop()
  const started = stele(['start', '--data', data, '--port', '0'], {
    onStop: (listen) => (stop = listen),
    onOut,
  })
  expect((await started).code).toBe(0)
  expect(await readLogInfo(data, 'main')).toMatchObject(PRIVATE)
})

test('a log cannot be public and private, and nothing is made', async () => {
  const data = folder()
  expect((await stele(['init', '--data', data, '--public', '--private'])).code).toBe(2)
  expect(existsSync(data)).toBe(false)
})
