import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SteleError } from '../errors.ts'
import { syncFolder } from './files.ts'

/*
 * LevelDB drops whatever it cannot read of its write-ahead log, deletes the file, and opens without a word. So before it
 * may touch them, a second name is given to the files that say what was written last, in a folder beside the
 * database: `database-before-open`, then `database-before-open-2` and so on. They go when what LevelDB made of them was
 * verified; until then nothing is lost that was on the disk.
 */
const SUFFIX = '-before-open'
const KEPT = /^CURRENT$|^MANIFEST-\d+$|^\d+\.log$/

/**
 * Keeps what LevelDB is about to read and delete. Hard links: a few system calls, however large the files are. Nothing is
 * kept where the write-ahead logs are empty, or where an earlier opening that failed has kept them already.
 *
 * @returns the folder that was made, for `removeSetAside`
 * @throws SteleError `io_error`: then the database must not be opened
 */
export async function setAside(database: string): Promise<string | undefined> {
  try {
    const names = (await readdir(database)).filter((name) => KEPT.test(name))
    const earlier = await setsAside(database)
    if (!(await anyNotKept(database, names, earlier))) return undefined
    return await keep(
      database,
      names,
      `${database}${SUFFIX}${earlier.length > 0 ? `-${nextNumber(earlier)}` : ''}`,
    )
  } catch (error) {
    // Gone since it was listed: another process has this database open, as LevelDB is about to say.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new SteleError(
      'io_error',
      `${database}: its write-ahead log could not be set aside before opening: ${(error as Error).message}`,
      { cause: error },
    )
  }
}

/** The folders in which openings that were not verified have left what they found. */
export async function setsAside(database: string): Promise<string[]> {
  const parent = dirname(database)
  const prefix = `${basename(database)}${SUFFIX}`
  const names = await readdir(parent)
  return names
    .filter((name) => name === prefix || (name.startsWith(`${prefix}-`) && /-\d+$/.test(name)))
    .sort()
    .map((name) => join(parent, name))
}

/** For a database that was verified: what it was made of is not needed any more. */
export async function removeSetsAside(database: string): Promise<void> {
  for (const folder of await setsAside(database)) await rm(folder, { recursive: true, force: true })
}

/** The same error, with the place of what LevelDB may have dropped, if there is any. */
export async function namingSetsAside(failure: unknown, database: string): Promise<unknown> {
  if (!(failure instanceof SteleError) || failure.code === 'locked') return failure
  const folders = await setsAside(database).catch(() => [])
  if (folders.length === 0) return failure
  const { retryAfterSeconds } = failure
  return new SteleError(
    failure.code,
    `${failure.message}. LevelDB's write-ahead log as it was before opening is kept in ${folders.join(', ')}`,
    { cause: failure.cause ?? failure, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) },
  )
}

async function keep(database: string, names: readonly string[], folder: string): Promise<string> {
  // Built under another name: a set that a crash cut short must not be taken for a whole one.
  const building = `${database}${SUFFIX}.new`
  await rm(building, { recursive: true, force: true })
  await mkdir(building, { mode: 0o700 })
  for (const name of names) await linkOrCopy(join(database, name), join(building, name))
  await syncFolder(building)
  await rename(building, folder)
  await syncFolder(dirname(folder))
  return folder
}

/** Not every file system has hard links. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error
    await copyFile(from, to)
    const file = await open(to, 'r+')
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }
}

async function anyNotKept(
  database: string,
  names: readonly string[],
  earlier: readonly string[],
): Promise<boolean> {
  for (const name of names) {
    if (!name.endsWith('.log')) continue
    const { size } = await stat(join(database, name))
    if (size > 0 && !(await keptIn(earlier, join(database, name)))) return true
  }
  return false
}

async function keptIn(folders: readonly string[], file: string): Promise<boolean> {
  for (const folder of folders) {
    const kept = await readFile(join(folder, basename(file))).catch(() => undefined)
    if (kept?.equals(await readFile(file))) return true
  }
  return false
}

function nextNumber(folders: readonly string[]): number {
  return Math.max(1, ...folders.map((folder) => Number(/-(\d+)$/.exec(folder)?.[1] ?? 1))) + 1
}
