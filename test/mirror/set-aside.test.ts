import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { MirroredLog } from '../../src/mirror/log.ts'
import { createMirrorState, openMirrorState, type MirrorPaths } from '../../src/mirror/open.ts'
import { logSigned } from '../../src/mirror/signed.ts'
import { openNote } from '../../src/note/note.ts'
import { FakeLog } from '../client/fake-log.ts'
import { setsAside, walOf } from '../storage/database.ts'
import { testFolder } from '../support/folder.ts'
import { asMirrored, MIRROR_KEY } from './fixture.ts'

interface Copy {
  readonly folder: string
  readonly paths: MirrorPaths
  open(): Promise<MirroredLog>
}

/** A copy on disk of 300 entries, all of them cosigned in a write-ahead log. */
async function copyOnDisk(): Promise<Copy> {
  const folder = testFolder()
  const paths = { database: join(folder, 'database'), headFile: join(folder, 'head') }
  await createMirrorState(paths)
  const source = await FakeLog.create(300)
  const parts = { log: asMirrored(source), keys: [MIRROR_KEY], nowMs: Date.now, cacheBytes: 0 }
  const copy: Copy = { folder, paths, open: () => openMirrorState(paths, parts) }
  const log = await copy.open()
  const shown = { seenAtMs: 0, isServed: true }
  const signed = logSigned(openNote(source.note, [source.key.verifier]), shown)
  await log.movePending(signed, { oldSize: 0, path: [] })
  await log.append(0, source.entries)
  await log.advance(signed)
  await log.close()
  return copy
}

test('however often a copy is opened, what was set aside before goes once it is verified', async () => {
  const copy = await copyOnDisk()
  for (let i = 0; i < 3; i++) {
    const log = await copy.open()
    expect([log.published.size, setsAside(copy.folder)]).toEqual([300, []])
    await log.close()
  }
})

test('what LevelDB dropped of a copy is kept and named until the copy is whole again', async () => {
  const copy = await copyOnDisk()
  const { database } = copy.paths
  cpSync(database, `${database}-pristine`, { recursive: true })
  const flipped = readFileSync(walOf(database))
  flipped[200]! ^= 1
  writeFileSync(walOf(database), flipped)
  const kept = join(copy.folder, 'database-before-open')
  // As a service manager does, who neither loses nor multiplies it.
  for (let i = 0; i < 3; i++) await expect(copy.open()).rejects.toThrow(kept)
  expect(setsAside(copy.folder)).toEqual(['database-before-open'])
  expect(readFileSync(walOf(kept)).equals(flipped)).toBe(true)
  rmSync(database, { recursive: true })
  cpSync(`${database}-pristine`, database, { recursive: true })
  const log = await copy.open()
  expect([log.published.size, setsAside(copy.folder)]).toEqual([300, []])
  await log.close()
})
