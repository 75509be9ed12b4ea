import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { readFileIfAny, readTextFile, replaceFile, writeNewFile } from '../../src/storage/files.ts'
import { testFolder } from '../support/folder.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** What a file held each time something was synced. */
async function seenAtSyncs(path: string): Promise<(string | undefined)[]> {
  const handle = await open(testFolder(), 'r')
  const prototype = Object.getPrototypeOf(handle) as typeof handle
  await handle.close()
  const seen: (string | undefined)[] = []
  const sync = prototype.sync
  vi.spyOn(prototype, 'sync').mockImplementation(async function (this: typeof handle) {
    seen.push(await readTextFile(path))
    await sync.call(this)
  })
  return seen
}

test('a file is synced before it takes the place of another, and its folder after that', async () => {
  const folder = testFolder()
  const path = join(folder, 'file')
  writeFileSync(path, 'old')
  const seen = await seenAtSyncs(path)
  await replaceFile(path, 'new', 0o600)
  expect(seen).toEqual(['old', 'new'])
  expect(readdirSync(folder)).toEqual(['file'])
  expect(statSync(path).mode % 0o1000).toBe(0o600)
})

test('what cannot take its place leaves the old file, and nothing beside it', async () => {
  const folder = testFolder()
  const path = join(folder, 'file')
  mkdirSync(join(path, 'in-the-way'), { recursive: true })
  await expect(replaceFile(path, 'new')).rejects.toMatchObject({ code: 'io_error' })
  expect(readdirSync(folder)).toEqual(['file'])
  rmSync(path, { recursive: true })
  // Half a file, of a crash.
  writeFileSync(`${path}.new`, 'longer than the new one')
  await replaceFile(path, 'new')
  expect(readFileSync(path, 'utf8')).toBe('new')
})

test('a new file is written and synced once, never over another', async () => {
  const path = join(testFolder(), 'file')
  const seen = await seenAtSyncs(path)
  await writeNewFile(path, 'first', 0o600)
  expect(seen).toEqual(['first'])
  await expect(writeNewFile(path, 'second')).rejects.toMatchObject({ code: 'already_exists' })
  expect(await readTextFile(path)).toBe('first')
})

test('a file that is not there is told from one that cannot be read', async () => {
  const folder = testFolder()
  expect(await readFileIfAny(join(folder, 'none'))).toBeUndefined()
  await expect(readFileIfAny(folder)).rejects.toMatchObject({ code: 'io_error' })
})
