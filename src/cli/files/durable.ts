import { mkdir } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { SteleError } from '../../errors.ts'
import { placeFile, syncFolder } from '../../storage/files.ts'

/**
 * Writes files so that each is there whole or not at all, whatever crashes: beside its place, synced, renamed into
 * it. Owner of the list of folders whose names are not durable yet.
 */
export class DurableFiles {
  readonly #folders = new Set<string>()

  /**
   * Resolves once the bytes are on disk; their name is when {@link sync} resolves.
   *
   * @param mode permissions of the file, less the umask
   * @throws SteleError `io_error`
   */
  async write(path: string, bytes: string | Uint8Array, mode = 0o666): Promise<void> {
    await this.#makeFolder(dirname(path)).catch((error: unknown) => {
      throw new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
    })
    await placeFile(path, bytes, mode)
    this.#folders.add(dirname(path))
  }

  /** Makes the names of all files durable. */
  async sync(): Promise<void> {
    const folders = [...this.#folders]
    this.#folders.clear()
    for (const folder of folders) await syncFolder(folder)
  }

  async #makeFolder(folder: string): Promise<void> {
    if (this.#folders.has(folder)) return
    const made = await mkdir(folder, { recursive: true })
    const first = made && resolve(made)
    // Each new folder is a new name in the one above it.
    for (let at = resolve(folder); first !== undefined && at.length >= first.length; at = dirname(at)) {
      this.#folders.add(dirname(at))
    }
  }
}

/** Writes one file durably, in the place of another if there is one. @throws SteleError `io_error` */
export async function writeDurably(path: string, bytes: string | Uint8Array): Promise<void> {
  const files = new DurableFiles()
  await files.write(path, bytes)
  await files.sync()
}
