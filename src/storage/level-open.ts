import { createReadStream, existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { Level } from 'level'
import { SteleError } from '../errors.ts'

/** Opens a LevelDB folder of bytes, and says in our own words why it could not. */
export async function openLevel(
  folder: string,
  create: boolean,
  options: { compression?: boolean } = {},
): Promise<Level<Uint8Array, Uint8Array>> {
  // LevelDB itself makes a folder before it notices that it was told not to create one.
  if (!create && !existsSync(join(folder, 'CURRENT'))) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a LevelDB database, found no CURRENT file in it`,
    )
  }
  if (!create) await readWriteAheadLogs(folder)
  const db = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: create,
    errorIfExists: create,
    // LevelDB maps table files of 2 MiB into memory, up to this many: the bound on that share of the RSS.
    maxOpenFiles: 64,
    ...options,
  })
  try {
    await db.open()
  } catch (error) {
    await db.close().catch(() => {})
    throw openingError(folder, error)
  }
  return db
}

/**
 * LevelDB takes a write-ahead log that it cannot open or read for one that ends there, says nothing, and deletes it.
 * So it is read here first: a disk that fails for a moment, or a process that is out of file descriptors, must not
 * cost entries that are on the disk. It is a few MiB, and LevelDB finds them in the page cache after that.
 */
async function readWriteAheadLogs(folder: string): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (name.endsWith('.log')) await finished(createReadStream(join(folder, name)).resume())
    }
  } catch (error) {
    // Gone since it was listed: another process has this database open, as LevelDB is about to say.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw new SteleError('io_error', `${folder}: reading its write-ahead log: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function openingError(folder: string, error: unknown): SteleError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if ((cause as { code?: string }).code === 'LEVEL_LOCKED') {
    return new SteleError('locked', `${folder}: another process has this log open; stop it first`, { cause })
  }
  return levelError(folder, cause)
}

/** What LevelDB says when reading fails, in our own words. Errors that are ours already stay as they are. */
export function levelError(folder: string, cause: unknown): SteleError {
  if (cause instanceof SteleError) return cause
  const message = cause instanceof Error ? cause.message : String(cause)
  const code = (cause as { code?: string }).code === 'LEVEL_CORRUPTION' ? 'corrupt' : 'io_error'
  return new SteleError(code, `${folder}: LevelDB cannot read it: ${message}`, { cause })
}
