import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../../errors.ts'
import { DurableFiles } from '../files/durable.ts'

/** Where the files of an export go, under their tlog-tiles paths. */
export interface ExportTarget {
  /** For messages. */
  readonly name: string
  /** True for a file that is there whole. */
  has(path: string): boolean
  /** @throws SteleError `io_error` for a file that is there and cannot be read */
  read(path: string): Promise<Uint8Array | undefined>
  /** @param mode permissions, less the umask */
  write(path: string, bytes: string | Uint8Array, mode?: number): Promise<void>
  /** The files that are in it, without those in its folders. */
  list(): Promise<string[]>
  remove(path: string): Promise<void>
  /** Resolves once all that was written will outlive a crash. */
  sync(): Promise<void>
}

/** A folder: each file is there whole or not at all. */
export class FolderTarget implements ExportTarget {
  readonly name: string
  readonly #durable = new DurableFiles()

  constructor(folder: string) {
    this.name = folder
  }

  has(path: string): boolean {
    return existsSync(join(this.name, path))
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readFile(join(this.name, path))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw new SteleError('io_error', `${join(this.name, path)}: ${message}`, { cause: error })
    }
  }

  write(path: string, bytes: string | Uint8Array, mode?: number): Promise<void> {
    return this.#durable.write(join(this.name, path), bytes, mode)
  }

  list(): Promise<string[]> {
    return readdir(this.name)
  }

  remove(path: string): Promise<void> {
    return rm(join(this.name, path))
  }

  sync(): Promise<void> {
    return this.#durable.sync()
  }
}
