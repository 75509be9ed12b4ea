import { open, readFile, rename, rm, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../errors.ts'

/**
 * Writes a file that must not exist yet, and syncs its bytes. If that fails, the incomplete file is removed, so that it
 * does not obstruct the next attempt.
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

/** Writes all of these bytes. On a full disk or after a signal, one system call may write fewer without an error. */
export async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at)
    if (bytesWritten === 0) throw new Error(`wrote ${at} of ${bytes.length} bytes`)
    at += bytesWritten
  }
}

/**
 * Creates or replaces a file: writes it under another name, syncs it, and renames it. A crash leaves the complete old
 * file or the complete new one. The rename is durable once {@link syncFolder} has resolved for its folder.
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
    // The likeliest reason is a full disk, and the incomplete file takes space.
    await rm(beside, { force: true }).catch(() => undefined)
    throw fileError(path, error)
  }
}

/** As {@link placeFile}; resolves once the rename is durable too. @throws SteleError `io_error` */
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

/** The bytes of a file; undefined if there is none. @throws SteleError `io_error` */
export async function readFileIfAny(path: string): Promise<Uint8Array | undefined> {
  const bytes = await ifAny(path, readFile(path))
  return bytes && new Uint8Array(bytes)
}

/** The text of a file; undefined if there is none. @throws SteleError `io_error` */
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

/** Adds the path to errors of code that knows only the file's content. */
export function inFile<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${path}: ${error.message}`, { cause: error })
  }
}

/** An error of the file system as a SteleError. */
export function fileError(path: string, error: unknown): SteleError {
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'EEXIST')
    return new SteleError('already_exists', `${path}: it exists already`, { cause: error })
  return new SteleError('io_error', `${path}: ${message}`, { cause: error })
}

/** True for an error of a system call, as opposed to a bug of this program. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
