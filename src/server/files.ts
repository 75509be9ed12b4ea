import { constants } from 'node:fs'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../errors.ts'
import { syncFolder } from '../storage/head-file.ts'

/** Writes a file that must not exist yet, and makes its bytes durable. @throws SteleError `already_exists` */
export async function writeNewFile(path: string, text: string, mode = 0o644): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, mode).catch(
    (error: unknown) => {
      throw fileError(path, error)
    },
  )
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/**
 * Puts a file in the place of another: written beside it, synced, renamed, and the folder synced. A crash leaves the old
 * one whole or the new one.
 *
 * @throws SteleError `io_error`
 */
export async function replaceFile(path: string, text: string, mode = 0o644): Promise<void> {
  const beside = `${path}.new`
  try {
    const file = await open(beside, 'w', mode)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
    await syncFolder(dirname(path))
  } catch (error) {
    throw fileError(path, error)
  }
}

/** The text of a file, or undefined where there is none. @throws SteleError `io_error` */
export async function readTextFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError(path, error)
  }
}

/**
 * A private key's text. A key that others can read is not private any more, so it is not used.
 *
 * @throws SteleError `key_missing`, `key_permissions`, `io_error`
 */
export async function readKeyFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(path, error)
    throw new SteleError(
      'key_missing',
      `${path}: the log's private key is not there; put it back from your backup`,
    )
  })
  // The lowest nine bits are the permissions; of those only the owner's may be set.
  const mode = info.mode % 0o1000
  if (mode % 0o100 !== 0) {
    throw new SteleError(
      'key_permissions',
      `${path}: expected permissions 600, found ${mode.toString(8)}: others than the owner can reach this private ` +
        `key. Run "chmod 600" on it, and consider whether it has leaked`,
    )
  }
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, error)
  })
  return text.trimEnd()
}

/** Our own words for what the file system says. */
export function fileError(path: string, error: unknown): SteleError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST')
    return new SteleError('already_exists', `${path}: there is one already`, { cause: error })
  return new SteleError('io_error', `${path}: ${message}`, { cause: error })
}
