import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseAccessState } from '../../access/state.ts'
import { SteleError } from '../../errors.ts'
import { accessPath, META_LOG } from '../../instance/access-files.ts'
import { replaceFile } from '../../storage/files.ts'

/** The file of API key hashes in a backup of all logs. */
export const ACCESS_FILE = 'access.json'

/**
 * The logs in a folder that `backup --all` wrote. The meta log comes first, since restoring the others is recorded in
 * it.
 *
 * @throws SteleError `not_found`
 */
export async function savedLogs(from: string): Promise<string[]> {
  const found = await readdir(from).catch((error: Error) => {
    throw new SteleError(
      'not_found',
      `${from}: expected a folder that "backup --all" wrote: ${error.message}`,
    )
  })
  const names = found.filter((name) => existsSync(join(from, name, 'checkpoint'))).sort()
  if (names.length > 0)
    return [...names.filter((name) => name === META_LOG), ...names.filter((name) => name !== META_LOG)]
  throw new SteleError(
    'not_found',
    `${from}: expected a folder that "backup --all" wrote, with a folder for each log in it, found none`,
  )
}

/**
 * Restores the API keys of a backup into a data folder that has none.
 *
 * @returns false if the backup has no keys, or the folder already has some
 * @throws SteleError `foreign_format`, `io_error`
 */
export async function restoreAccess(from: string, data: string): Promise<boolean> {
  const path = join(from, ACCESS_FILE)
  if (!existsSync(path) || existsSync(accessPath(data))) return false
  const bytes = await readFile(path).catch((error: Error) => {
    throw new SteleError('io_error', `${path}: ${error.message}`, { cause: error })
  })
  parseAccessState(bytes.toString(), path)
  await replaceFile(accessPath(data), bytes, 0o600)
  return true
}
