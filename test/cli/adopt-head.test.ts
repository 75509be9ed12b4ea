import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele } from './fixture.ts'

async function lostHead(): Promise<{
  data: string
  key: string
  head: string
  checkpoint: string
  newer: string
}> {
  const folder = await dataFolder()
  const { flags, stop } = await serve(folder)
  const [checkpoint, newer] = [join(testFolder(), 'checkpoint'), join(testFolder(), 'newer')]
  await stele(['add', '--lines', ...flags], { stdin: lines(300) })
  writeFileSync(checkpoint, (await stele(['checkpoint', ...flags])).out)
  await stop()
  const copy = join(testFolder(), 'copy')
  await cp(folder.data, copy, { recursive: true })
  // What the log went on to sign after the copy was made.
  const later = await serve({ ...folder, data: copy })
  await stele(['add', '--lines', ...later.flags], { stdin: lines(400) })
  writeFileSync(newer, (await stele(['checkpoint', ...later.flags])).out)
  await later.stop()
  return { ...folder, head: join(folder.data, 'logs/main/head'), checkpoint, newer }
}

test('a head file that is there is never replaced', async () => {
  const { data } = await dataFolder()
  const adopt = await stele(['log', 'adopt-head', 'main', '--yes-i-have-none', '--data', data])
  expect(adopt.code).toBe(3)
})

test('a lost head file is made anew where the database extends a checkpoint that somebody kept', async () => {
  const { data, key, head, checkpoint } = await lostHead()
  rmSync(head)
  const refused = await stele(['serve', '--data', data, '--port', '0', '--log-level', 'silent'])
  expect([refused.code, refused.err.includes('adopt-head')]).toEqual([37, true])
  const adopted = await stele([
    'log',
    'adopt-head',
    'main',
    '--checkpoint',
    checkpoint,
    '--json',
    '--data',
    data,
  ])
  expect(JSON.parse(adopted.out)).toMatchObject({ name: 'main', treeSize: 300 })
  const { flags } = await serve({ data, key })
  expect((await stele(['add', ...flags], { stdin: 'next' })).out).toBe('300\n')
})

test('a database that ends before a kept checkpoint was rolled back: refused, and no head file appears', async () => {
  const { data, head, newer } = await lostHead()
  rmSync(head)
  const { code, err } = await stele(['log', 'adopt-head', 'main', '--checkpoint', newer, '--data', data])
  expect(code).toBe(17)
  expect(err).toContain('400')
  expect(existsSync(head)).toBe(false)
})

test('a damaged head file is set aside, not thrown away', async () => {
  const { data, head, checkpoint } = await lostHead()
  const damaged = readFileSync(head).fill(7, 4096)
  writeFileSync(head, damaged)
  const { code } = await stele(['log', 'adopt-head', 'main', '--checkpoint', checkpoint, '--data', data])
  expect(code).toBe(0)
  const aside = readdirSync(join(data, 'logs/main')).find((name) => name.startsWith('head.damaged-'))
  expect(readFileSync(join(data, 'logs/main', aside!))).toEqual(damaged)
})

test('without a checkpoint the command wants to be told that there is none', async () => {
  const { data, head } = await lostHead()
  rmSync(head)
  expect((await stele(['log', 'adopt-head', 'main', '--data', data])).code).toBe(2)
  expect((await stele(['log', 'adopt-head', 'main', '--yes-i-have-none', '--data', data])).code).toBe(0)
})
