import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../errors.ts'
import { syncFolder } from './head-file.ts'

/** The record of a published head, or undefined where there is none yet. @throws SteleError `io_error` */
export async function readPublishedFile(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw ioError(path, error)
  }
}

/**
 * Replaces the record of a published head: written beside its place, synced, renamed into it.
 *
 * @returns once it is on disk; a crash before leaves the older one whole
 * @throws SteleError `io_error`
 */
export async function writePublishedFile(path: string, record: Uint8Array): Promise<void> {
  const beside = `${path}.new`
  try {
    const file = await open(beside, 'w', 0o600)
    try {
      await file.writeFile(record)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
    await syncFolder(dirname(path))
  } catch (error) {
    throw ioError(path, error)
  }
}

function ioError(path: string, error: unknown): SteleError {
  return new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
}
