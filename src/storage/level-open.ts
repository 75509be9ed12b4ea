import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Level } from 'level'
import { SteleError } from '../errors.ts'

/** Opens a LevelDB folder of bytes, and says in our own words why it could not. */
export async function openLevel(folder: string, create: boolean): Promise<Level<Uint8Array, Uint8Array>> {
  // LevelDB itself makes a folder before it notices that it was told not to create one.
  if (!create && !existsSync(join(folder, 'CURRENT'))) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a LevelDB database, found no CURRENT file in it`,
    )
  }
  const db = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    createIfMissing: create,
    errorIfExists: create,
    // LevelDB maps table files of 2 MiB into memory, up to this many: the bound on that share of the RSS.
    maxOpenFiles: 200,
  })
  try {
    await db.open()
  } catch (error) {
    await db.close().catch(() => {})
    throw openingError(folder, error)
  }
  return db
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
