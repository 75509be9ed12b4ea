import { existsSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../../errors.ts'
import { DurableFiles } from '../files/durable.ts'

/** Stores the files of an export under their tlog-tiles paths. */
export interface ExportTarget {
  /** The name of the target in messages. */
  readonly name: string
  /** True if the file exists completely. */
  has(path: string): boolean
  /** @throws SteleError `io_error` if the file exists but cannot be read */
  read(path: string): Promise<Uint8Array | undefined>
  /** @param mode permissions, before the umask is applied */
  write(path: string, bytes: string | Uint8Array, mode?: number): Promise<void>
  /** The files at the top of the target, without folders. */
  list(): Promise<string[]>
  remove(path: string): Promise<void>
  /** Resolves once everything written survives a crash. */
  sync(): Promise<void>
}

/** A folder in which each file is complete or missing. */
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
