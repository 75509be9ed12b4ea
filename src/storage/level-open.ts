import { constants, existsSync } from 'node:fs'
import { copyFile, mkdir, open, readdir, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Level } from 'level'
import { hasCode, SteleError } from '../errors.ts'
import { fileError, syncFolder } from './files.ts'
import {
  checkLevelFiles,
  operationsOf,
  readLevelFiles,
  type CheckedLevelFiles,
  type LevelFiles,
  type Operation,
} from './level-files.ts'
import { openForReading, readOpenLog } from './level-log.ts'
import { LevelTables } from './level-tables.ts'

export type LevelDatabase = Level<Uint8Array, Uint8Array>

/** Options for opening a database. */
export interface OpenLevelOptions {
  /** True only when a database is being made. */
  readonly create?: boolean
  /** Default true. */
  readonly compression?: boolean
  /**
   * Also opens a database with a damaged write-ahead log, of which LevelDB drops the unreadable part. A copy is kept.
   */
  readonly salvage?: boolean
  /** Called before LevelDB drops the incomplete last write that a crash left; throws if it must not be dropped. */
  readonly mayDropTail?: (files: CheckedLevelFiles) => Promise<void>
}

/** An open database, and the checker of its table files. */
export interface OpenedLevel {
  readonly db: LevelDatabase
  /** Every key must be checked here before LevelDB reads it. */
  readonly tables: LevelTables
}

const NO_FILES: LevelFiles = { manifest: '', tables: [], firstLog: 0, lastWrite: 0 }

/**
 * Opens a LevelDB folder, with clear errors. LevelDB treats an unreadable or damaged write-ahead log as one that ends
 * there, reports nothing, and deletes it. So everything that it replays is first read and compared with its checksums
 * (`level-files.ts`), and LevelDB does not open a folder that is not in order.
 *
 * @throws SteleError `locked`, `not_initialised`, `corrupt` by file and offset, `io_error`
 */
export async function openLevel(
  folder: string,
  { create = false, compression = true, salvage = false, mayDropTail }: OpenLevelOptions = {},
): Promise<OpenedLevel> {
  // LevelDB itself creates the folder before it checks whether it may.
  if (!create && !existsSync(join(folder, 'CURRENT'))) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a LevelDB database, found no CURRENT file in it`,
    )
  }
  const { files, logs } = create
    ? { files: NO_FILES, logs: undefined }
    : await checkedAndHeld(folder, mayDropTail, salvage)
  const db: LevelDatabase = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: create,
    errorIfExists: create,
    // LevelDB maps at most this many table files of 2 MiB into memory, which bounds their share of the RSS.
    maxOpenFiles: 64,
    compression,
  })
  try {
    await db.open()
    await logs?.writeMissing(db, folder)
  } catch (error) {
    await db.close().catch(() => {})
    throw openingError(folder, error)
  } finally {
    await logs?.close()
  }
  return { db, tables: new LevelTables(folder, files) }
}

/** How often the check is repeated because a process that has the database open replaced files during it. */
const MOST_CHECKS = 10

async function checkedAndHeld(
  folder: string,
  mayDropTail: OpenLevelOptions['mayDropTail'],
  salvage: boolean,
): Promise<{ files: LevelFiles; logs: HeldLogs | undefined }> {
  for (let checks = 1; ; checks++) {
    const files = await checked(folder, mayDropTail, salvage)
    try {
      return { files, logs: isChecked(files) ? await holdLogs(files) : undefined }
    } catch (error) {
      const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
      if (code !== 'ENOENT' || checks === MOST_CHECKS) throw error
    }
  }
}

type HeldLogs = Awaited<ReturnType<typeof holdLogs>>

function isChecked(files: LevelFiles | CheckedLevelFiles): files is CheckedLevelFiles {
  return 'logs' in files
}

/**
 * Keeps the write-ahead logs readable while LevelDB opens. If LevelDB fails to read one, it goes on without it and
 * deletes it; an open file can be read after that.
 */
async function holdLogs({ logs, lastLogged }: CheckedLevelFiles) {
  const held: { readonly path: string; readonly file: FileHandle }[] = []
  const close = async (): Promise<void> => void (await Promise.all(held.map(({ file }) => file.close())))
  try {
    for (const path of logs) held.push({ path, file: await openForReading(path) })
  } catch (error) {
    await close()
    throw error
  }
  return {
    close,
    /** Writes the writes that LevelDB did not replay, found by their numbers. Repeating a write changes nothing. */
    async writeMissing(db: LevelDatabase, folder: string): Promise<void> {
      if (lastLogged === undefined || (await readLevelFiles(folder)).lastWrite >= lastLogged) return
      for (const { path, file } of held) {
        const batches: Operation[][] = []
        await readOpenLog(file, path, Number.POSITIVE_INFINITY, (record) => {
          batches.push(operationsOf(path, record))
        })
        for (const batch of batches) await db.batch(batch, { sync: true })
      }
    },
  }
}

async function checked(
  folder: string,
  mayDropTail: OpenLevelOptions['mayDropTail'],
  salvage: boolean,
): Promise<LevelFiles | CheckedLevelFiles> {
  try {
    const files = await checkLevelFiles(folder)
    if (files.torn) await mayDropTail?.(files)
    return files
  } catch (error) {
    if (!salvage || !hasCode(error, 'corrupt')) throw error
    const files = await readLevelFiles(folder)
    for (const name of await readdir(folder)) if (name.endsWith('.log')) await keepCopy(join(folder, name))
    return files
  }
}

/**
 * Copies a damaged file of a database into the folder `database-damaged` beside it before the file is changed, because
 * its remaining content may be needed.
 *
 * @returns the path of the copy
 * @throws SteleError `io_error`; the file must not be changed then
 */
export async function keepCopy(path: string): Promise<string> {
  const folder = `${dirname(path)}-damaged`
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    let copy = join(folder, basename(path))
    for (let n = 2; existsSync(copy); n++) copy = join(folder, `${basename(path)}.${n}`)
    await copyFile(path, copy, constants.COPYFILE_EXCL)
    await syncFile(copy)
    await syncFolder(folder)
    return copy
  } catch (error) {
    throw fileError(path, error)
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

function openingError(folder: string, error: unknown): SteleError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if ((cause as { code?: string }).code === 'LEVEL_LOCKED') {
    return new SteleError('locked', `${folder}: another process has this log open; stop it first`, { cause })
  }
  return levelError(folder, cause)
}

/** An error of LevelDB as a SteleError. A SteleError stays as it is. */
export function levelError(folder: string, cause: unknown): SteleError {
  if (cause instanceof SteleError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = (cause as { code?: string }).code === 'LEVEL_CORRUPTION' ? 'corrupt' : 'io_error'
  return new SteleError(code, `${folder}: LevelDB cannot read it: ${message}`, { cause })
}
