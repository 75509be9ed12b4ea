import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hasCode } from '../../src/errors.ts'
import { LevelStore } from '../../src/storage/level.ts'
import { setAside } from '../../src/storage/set-aside.ts'
import { StoredLog } from '../server/fixture.ts'
import { setsAside, walOf } from './database.ts'

test('an opening that is verified leaves nothing behind', async () => {
  const stored = await StoredLog.withCommits()
  const log = await stored.open()
  expect(setsAside(stored.files.folder)).toEqual([])
  await log.close()
})

test('with a bit flipped anywhere, what the write-ahead log held is kept, byte for byte, and the error says where', async () => {
  const stored = await StoredLog.withCommits()
  const wal = walOf(stored.files.database)
  const bytes = readFileSync(wal)
  const pristine = `${stored.folder}-pristine`
  cpSync(stored.files.folder, pristine, { recursive: true })
  let refused = 0
  for (let offset = 40; offset < bytes.length; offset += Math.ceil(bytes.length / 12)) {
    rmSync(stored.files.folder, { recursive: true })
    cpSync(pristine, stored.files.folder, { recursive: true })
    const flipped = Buffer.from(bytes)
    flipped[offset]! ^= 0x10
    writeFileSync(wal, flipped)
    const opened = await stored.open().catch((error: unknown) => error)
    if (!hasCode(opened, 'corrupt', 'rolled_back', 'fork', 'not_initialised')) {
      await (opened as Awaited<ReturnType<StoredLog['open']>>).close()
      continue
    }
    refused++
    expect(setsAside(stored.files.folder)).toEqual(['database-before-open'])
    const kept = join(stored.files.folder, 'database-before-open')
    expect(opened.message).toContain(kept)
    expect(readFileSync(walOf(kept)).equals(flipped)).toBe(true)
    expect(readdirSync(kept)).toContain('CURRENT')
    // LevelDB itself has deleted it by now: this is what is being guarded against.
    expect(existsSync(wal)).toBe(false)
    // Trying again, as a service manager does, neither loses nor multiplies it.
    for (let i = 0; i < 3; i++) await expect(stored.open()).rejects.toThrow(kept)
    expect(setsAside(stored.files.folder)).toEqual(['database-before-open'])
    expect(readFileSync(walOf(kept)).equals(flipped)).toBe(true)
  }
  expect(refused).toBeGreaterThan(5)
})

test('copied back over the database, what was kept is enough to go on once the bit is right again', async () => {
  const stored = await StoredLog.withCommits()
  const wal = walOf(stored.files.database)
  const good = readFileSync(wal)
  const flipped = Buffer.from(good)
  flipped[200]! ^= 1
  writeFileSync(wal, flipped)
  await expect(stored.open()).rejects.toThrow('database-before-open')
  const kept = join(stored.files.folder, 'database-before-open')
  cpSync(kept, stored.files.database, { recursive: true })
  writeFileSync(wal, good)
  const log = await stored.open()
  expect(log.published.size).toBe(40)
  expect(setsAside(stored.files.folder)).toEqual([])
  await log.close()
})

test('a second damaged database is kept beside the first, and both go when one is verified', async () => {
  const stored = await StoredLog.withCommits()
  const pristine = `${stored.folder}-pristine`
  cpSync(stored.files.database, pristine, { recursive: true })
  const wal = walOf(stored.files.database)
  const good = readFileSync(wal)
  for (const offset of [200, 300]) {
    rmSync(stored.files.database, { recursive: true })
    cpSync(pristine, stored.files.database, { recursive: true })
    const flipped = Buffer.from(good)
    flipped[offset]! ^= 1
    writeFileSync(wal, flipped)
    await expect(stored.open()).rejects.toThrow('database-before-open')
  }
  expect(setsAside(stored.files.folder)).toEqual(['database-before-open', 'database-before-open-2'])
  rmSync(stored.files.database, { recursive: true })
  cpSync(pristine, stored.files.database, { recursive: true })
  const log = await stored.open()
  expect(setsAside(stored.files.folder)).toEqual([])
  await log.close()
})

test('a process that finds the database locked leaves nothing behind', async () => {
  const stored = await StoredLog.withCommits()
  const log = await stored.open()
  await log.append([Buffer.from('one more')])
  await expect(LevelStore.open(stored.files.database)).rejects.toMatchObject({ code: 'locked' })
  expect(setsAside(stored.files.folder)).toEqual([])
  await log.close()
})

test('a set that a crash cut short is made anew', async () => {
  const stored = await StoredLog.withCommits()
  const cut = join(stored.files.folder, 'database-before-open.new')
  mkdirSync(cut)
  writeFileSync(join(cut, 'CURRENT'), 'half')
  const kept = await setAside(stored.files.database)
  expect(readFileSync(join(kept!, 'CURRENT'), 'utf8')).toMatch(/^MANIFEST-/)
  expect(existsSync(cut)).toBe(false)
  rmSync(kept!, { recursive: true })
})

/** A folder on another file system than the tests' own: nothing there can have a second name here. */
function elsewhere(): string | undefined {
  if (!existsSync('/dev/shm') || statSync('/dev/shm').dev === statSync(tmpdir()).dev) return undefined
  const folder = mkdtempSync('/dev/shm/stele-test-')
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('where no hard link is possible, what the write-ahead log held is copied', async ({ skip }) => {
  const stored = await StoredLog.withCommits()
  const other = elsewhere()
  if (other === undefined) return skip('there is no second file system here')
  const { database } = stored.files
  cpSync(database, join(other, 'database'), { recursive: true })
  rmSync(database, { recursive: true })
  symlinkSync(join(other, 'database'), database)

  const wal = walOf(database)
  const good = readFileSync(wal)
  const flipped = Buffer.from(good)
  flipped[200]! ^= 1
  writeFileSync(wal, flipped)
  await expect(stored.open()).rejects.toThrow('database-before-open')
  const kept = join(stored.files.folder, 'database-before-open')
  expect(readFileSync(walOf(kept)).equals(flipped)).toBe(true)
  // A copy of its own: what happens to the database's file does not happen to it.
  expect(statSync(walOf(kept)).nlink).toBe(1)
  expect(statSync(kept).dev).not.toBe(statSync(other).dev)

  cpSync(kept, join(other, 'database'), { recursive: true })
  writeFileSync(wal, good)
  const log = await stored.open()
  expect(log.published.size).toBe(40)
  expect(setsAside(stored.files.folder)).toEqual([])
  await log.close()
})
