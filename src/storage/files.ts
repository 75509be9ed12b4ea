import { open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../errors.ts'

/** Writes a file that must not exist yet, and syncs its bytes. @throws SteleError `already_exists`, `io_error` */
export async function writeNewFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await writeFile(path, content, { flag: 'wx', mode, flush: true }).catch((error: unknown) => {
    throw fileError(path, error)
  })
}

/**
 * Puts a file in its place, or in that of another: written beside it, synced, renamed. A crash leaves the old one whole or
 * the new one; which of them is settled once {@link syncFolder} has resolved for its folder.
 *
 * @param mode permissions, less the umask
 * @throws SteleError `io_error`
 */
export async function placeFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  const beside = `${path}.new`
  try {
    await writeFile(beside, content, { mode, flush: true })
    await rename(beside, path)
  } catch (error) {
    // A full disk is the likeliest reason, and half a file takes room.
    await rm(beside, { force: true }).catch(() => undefined)
    throw fileError(path, error)
  }
}

/** As {@link placeFile}; resolves once the file's name is on disk too. @throws SteleError `io_error` */
export async function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  await placeFile(path, content, mode)
  await syncFolder(dirname(path)).catch((error: unknown) => {
    throw fileError(path, error)
  })
}

/** Makes a folder's list of files durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** The bytes of a file, or undefined where there is none. @throws SteleError `io_error` */
export async function readFileIfAny(path: string): Promise<Uint8Array | undefined> {
  const bytes = await ifAny(path, readFile(path))
  return bytes && new Uint8Array(bytes)
}

/** The text of a file, or undefined where there is none. @throws SteleError `io_error` */
export function readTextFile(path: string): Promise<string | undefined> {
  return ifAny(path, readFile(path, 'utf8'))
}

async function ifAny<T>(path: string, reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw fileError(path, error)
  }
}

/** Our own words for what the file system says. */
export function fileError(path: string, error: unknown): SteleError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST')
    return new SteleError('already_exists', `${path}: there is one already`, { cause: error })
  return new SteleError('io_error', `${path}: ${message}`, { cause: error })
}
