import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { alterRecord, walOf } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { dataFolder, lines, serve, stele, type Ran } from './fixture.ts'

/** A stopped log of 600 entries and its backup. */
async function stage(): Promise<{ data: string; key: string; backup: string }> {
  const folder = await dataFolder()
  const { flags, stop, data, key } = await serve(folder)
  await stele(['add', '--lines', ...flags], { stdin: lines(600) })
  await stop()
  const backup = join(testFolder(), 'backup')
  await stele(['backup', 'main', '--data', data, '--to', backup])
  return { data, key, backup }
}

/** Changes or deletes one record of a stopped log's database. */
function spoil(data: string, position: number, kind: number, gone = false): Promise<void> {
  return alterRecord(join(data, 'logs/main/database'), position, kind, (value) => {
    value[5]! ^= 1
    return gone ? undefined : value
  })
}

const repair = (data: string, from: string, ...more: string[]): Promise<Ran> =>
  stele(['repair', 'main', '--data', data, '--from', from, '--json', ...more])

const fsck = async (data: string): Promise<number> => (await stele(['fsck', '--data', data])).code

test('damaged entries and tiles are put back, the newest and missing ones too, and fsck is content', async () => {
  const { data, key, backup } = await stage()
  await spoil(data, 300, 1)
  await spoil(data, 599, 1)
  await spoil(data, 10, 1, true)
  await spoil(data, 255, 2)
  expect(await fsck(data)).toBe(1)
  const dry = await repair(data, backup, '--dry-run')
  expect([dry.code, JSON.parse(dry.out)]).toMatchObject([1, { repaired: { entries: 3, tiles: 1 } }])
  expect(await fsck(data)).toBe(1)
  const done = await repair(data, backup)
  expect([done.code, JSON.parse(done.out)]).toMatchObject([0, { lost: { entries: 0, tiles: 0 } }])
  expect(await fsck(data)).toBe(0)
  const nothing = await repair(data, backup)
  expect([nothing.code, JSON.parse(nothing.out)]).toMatchObject([0, { repaired: { entries: 0, tiles: 0 } }])
  const { stop } = await serve({ data, key })
  expect((await repair(data, backup)).code).toBe(32)
  await stop()
})

test('what the copy does not have stays damaged, and the exit code says so', async () => {
  const { data, key, backup } = await stage()
  const { flags, stop } = await serve({ data, key })
  await stele(['add', '--lines', ...flags], { stdin: lines(1200) })
  await stop()
  await spoil(data, 300, 1)
  await spoil(data, 900, 1)
  const { code, out, err } = await repair(data, backup)
  expect(err).toBe('')
  expect([code, JSON.parse(out)]).toMatchObject([1, { repaired: { entries: 1 }, lost: { entries: 1 } }])
  const { out: text } = await stele(['repair', 'main', '--data', data, '--from', backup])
  expect(text).toMatch(/STILL DAMAGED.*1 entry/)
})

test('a database that lost its end is not repaired: that is a rollback', async () => {
  const { data, key, backup } = await stage()
  const database = join(data, 'logs/main/database')
  const yesterday = join(testFolder(), 'database')
  cpSync(database, yesterday, { recursive: true })
  const { flags, stop } = await serve({ data, key })
  await stele(['add', '--lines', ...flags], { stdin: lines(700) })
  await stop()
  rmSync(database, { recursive: true })
  cpSync(yesterday, database, { recursive: true })
  expect((await repair(data, backup)).code).toBe(17)
})

test('a write-ahead log with a flipped bit is only named by --dry-run, and kept and filled up by the repair', async () => {
  const { data, key, backup } = await stage()
  const { flags, stop } = await serve({ data, key })
  for (const last of [4000, 4100]) await stele(['add', '--lines', ...flags], { stdin: lines(last) })
  await stop()
  // From a copy: opening the log would move all of it into table files.
  const copy = join(testFolder(), 'data')
  cpSync(data, copy, { recursive: true })
  await stele(['backup', 'main', '--data', copy, '--to', `${backup}-new`])
  const wal = walOf(join(data, 'logs/main/database'))
  const bytes = readFileSync(wal)
  // In a commit before the last one, and not in the same block of 32 KiB, all of which LevelDB drops.
  bytes[100]! ^= 1
  writeFileSync(wal, bytes)
  for (const ran of [
    await repair(data, `${backup}-new`, '--dry-run'),
    await stele(['fsck', '--data', data]),
  ]) {
    expect(`${ran.err}${ran.out}`).toMatch(/\.log: damaged at byte 0/)
    expect(readFileSync(wal).equals(bytes)).toBe(true)
  }
  const done = await repair(data, `${backup}-new`)
  expect([done.code, JSON.parse(done.out)]).toMatchObject([
    0,
    {
      repaired: { entries: expect.toSatisfy((n: number) => n >= 50) as number },
      lost: { entries: 0, tiles: 0 },
    },
  ])
  expect(readFileSync(join(data, 'logs/main/database-damaged', basename(wal))).equals(bytes)).toBe(true)
  expect(await fsck(data)).toBe(0)
})
