import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { extract } from 'tar-stream'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLog } from '../../src/instance/data-folder.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele } from './fixture.ts'

interface Saved {
  readonly treeSize: number
  readonly written: number
  readonly bytes: number
  readonly kept: number
}

async function saved(...args: string[]): Promise<Saved> {
  const { code, out, err } = await stele(['backup', 'main', '--json', ...args])
  expect([code, err]).toEqual([0, ''])
  return JSON.parse(out) as Saved
}

test('a served log is saved; a second run writes only what is new, and fsck finds all of it intact', async () => {
  const { data, url, flags, key } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  const to = join(testFolder(), 'backup')
  const args = ['--data', data, '--url', url, '--to', to]
  // 2 full bundles and 1 partial, as many tiles of level 0, the tile of level 1.
  expect(await saved(...args)).toMatchObject({ treeSize: 600, written: 7, kept: 0 })
  expect(await saved(...args)).toMatchObject({ treeSize: 600, written: 0, bytes: 0, kept: 7 })
  await stele(['add', '--lines', ...flags], { stdin: lines(900) })
  // Bundles 2 (full now) and 3, their tiles, the wider tile of level 1.
  expect(await saved(...args)).toMatchObject({ treeSize: 900, written: 5, kept: 4 })
  expect((await stele(['fsck', to, '--key', key])).code).toBe(0)
  expect(existsSync(join(to, 'log.skey'))).toBe(false)
})

test('a stopped log is saved from its folder, and its keys only when asked for, for their owner alone', async () => {
  const folder = await dataFolder()
  const { flags, stop, data } = await serve(folder)
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  await stop()
  const to = join(testFolder(), 'backup')
  expect(await saved('--data', data, '--to', to, '--with-keys')).toMatchObject({ treeSize: 300 })
  for (const name of ['log.skey', 'tree-head.pem']) {
    expect(statSync(join(to, name)).mode % 0o1000).toBe(0o600)
    expect(readFileSync(join(to, name))).toEqual(readFileSync(join(data, 'logs/main', name)))
  }
  const description = JSON.parse(readFileSync(join(to, 'stele-backup.json'), 'utf8')) as object
  expect(description).toMatchObject({ name: 'main', policy: 'none', treeHead: { treeSize: 300 } })
})

test('--all saves each log to a folder of its name', async () => {
  const { data } = await dataFolder()
  await createLog(data, {
    name: 'other',
    origin: 'log.example/other',
    allowDuplicates: true,
    reads: 'public',
  })
  const to = join(testFolder(), 'backups')
  expect((await stele(['backup', '--all', '--data', data, '--to', to])).code).toBe(0)
  expect(readdirSync(to).toSorted()).toEqual(['main', 'other'])
  expect(existsSync(join(to, 'other/checkpoint'))).toBe(true)
})

test('a tar stream holds each file once, and the checkpoint last', async () => {
  const { data, url, flags } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  const ran = await stele(['backup', 'main', '--data', data, '--url', url, '--tar', '-'])
  expect(ran.code).toBe(0)
  const names: string[] = []
  const entries = extract()
  Readable.from([ran.bytes]).pipe(entries)
  for await (const entry of entries) {
    names.push(entry.header.name)
    entry.resume()
  }
  expect(names).toHaveLength(new Set(names).size)
  expect(names).toHaveLength(11)
  expect(names.at(-1)).toBe('checkpoint')
})

test('an interrupted backup is the one before it: its checkpoint still covers what is there', async () => {
  const { data, url, flags, key } = await serve(await dataFolder())
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  const to = join(testFolder(), 'backup')
  const args = ['--data', data, '--url', url, '--to', to]
  await saved(...args)
  const before = readFileSync(join(to, 'checkpoint'), 'utf8')
  await stele(['add', '--lines', ...flags], { stdin: lines(800) })
  // A folder in the place of a file that is to be written: the run ends in the middle.
  mkdirSync(join(to, 'tile/1/000.p/3'), { recursive: true })
  const broken = await stele(['backup', 'main', ...args])
  expect(broken.code).toBe(40)
  expect(readFileSync(join(to, 'checkpoint'), 'utf8')).toBe(before)
  expect((await stele(['fsck', to, '--key', key])).code).toBe(0)
  rmSync(join(to, 'tile/1/000.p/3'), { recursive: true })
  expect(await saved(...args)).toMatchObject({ treeSize: 800 })
  expect((await stele(['fsck', to, '--key', key])).code).toBe(0)
})

test("another log's backup, a data folder and half a command line are refused before anything is written", async () => {
  const { data } = await dataFolder()
  const to = join(testFolder(), 'backup')
  mkdirSync(to)
  writeFileSync(join(to, 'checkpoint'), 'hello\n')
  expect((await stele(['backup', 'main', '--data', data, '--to', to])).code).toBe(10)
  expect((await stele(['backup', 'main', '--data', data, '--to', data])).code).toBe(2)
  expect((await stele(['backup', '--data', data, '--to', to])).code).toBe(2)
  expect((await stele(['backup', 'main', '--data', data])).code).toBe(2)
  expect((await stele(['backup', 'main', '--data', data, '--tar', 'x.tar'])).code).toBe(2)
  expect((await stele(['backup', 'nothing', '--data', data, '--to', to])).code).toBe(4)
  expect(readdirSync(to)).toEqual(['checkpoint'])
})
