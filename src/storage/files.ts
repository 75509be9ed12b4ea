import { open, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../errors.ts'

/**
 * Writes a file that must not exist yet, and syncs its bytes. Where that fails, no half of it is left in the way of the next
 * attempt.
 *
 * @throws SteleError `already_exists`, `io_error`
 */
export async function writeNewFile(path: string, content: string | Uint8Array, mode = 0o644): Promise<void> {
  const file = await open(path, 'wx', mode).catch((error: unknown) => {
    throw fileError(path, error)
  })
  try {
    await writeAt(file, Buffer.from(content as Uint8Array), 0)
    await file.sync()
    await file.close()
  } catch (error) {
    await file.close().catch(() => undefined)
    await rm(path, { force: true }).catch(() => undefined)
    throw fileError(path, error)
  }
}

/** Writes all of these bytes: a full disk or a signal may let the system write fewer, without an error. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
    if (bytesWritten === 0) throw new Error(`wrote ${at} of ${bytes.length} bytes`)
    at += bytesWritten
  }
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
  await syncFolder(dirname(path))
}

/** Makes a folder's list of files durable. @throws SteleError `io_error` */
export async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw fileError(folder, error)
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

/** Says in which file something is wrong, for what reads only its content. */
export function inFile<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${path}: ${error.message}`, { cause: error })
  }
}

/** Our own words for what the file system says. */
export function fileError(path: string, error: unknown): SteleError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST')
    return new SteleError('already_exists', `${path}: there is one already`, { cause: error })
  return new SteleError('io_error', `${path}: ${message}`, { cause: error })
}

/** What the system says of a call that failed, and no mistake of this program. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
