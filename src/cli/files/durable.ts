import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { SteleError } from '../../errors.ts'
import { placeFile, syncFolder } from '../../storage/files.ts'

/**
 * Writes files atomically and durably: each to a temporary name, synced, then renamed, so that after a crash a file is
 * complete or missing. Owns the list of folders whose entries are not synced yet.
 */
export class DurableFiles {
  readonly #folders = new Set<string>()

  /**
   * Resolves once the bytes are on disk. The file's name is durable only after {@link sync}.
   *
   * @param mode permissions of the file, before the umask is applied
   * @throws SteleError `io_error`
   */
  async write(path: string, bytes: string | Uint8Array, mode = 0o666): Promise<void> {
    await this.#makeFolder(dirname(path)).catch((error: unknown) => {
      throw new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
    })
    await placeFile(path, bytes, mode)
    this.#folders.add(dirname(path))
  }

  /** Syncs the folders, so that the names of all files are durable. */
  async sync(): Promise<void> {
    const folders = [...this.#folders]
    this.#folders.clear()
    for (const folder of folders) await syncFolder(folder)
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return
    const made = await mkdir(folder, { recursive: true })
    const first = made && resolve(made)
    // A new folder is a new entry in its parent.
    for (let at = resolve(folder); first !== undefined && at.length >= first.length; at = dirname(at)) {
      this.#folders.add(dirname(at))
    }
  }
}

/** Writes one file durably, and replaces an existing one. @throws SteleError `io_error` */
export async function writeDurably(path: string, bytes: string | Uint8Array): Promise<void> {
  const files = new DurableFiles()
  await files.write(path, bytes)
  await files.sync()
}
