import { pack, type Pack } from 'tar-stream'
import { SteleError } from '../../errors.ts'
import type { ExportTarget } from '../export/target.ts'

/** Writes a backup as a tar stream. Everything is written once, in any order, with the checkpoint last. */
export class TarTarget implements ExportTarget {
  readonly name = 'tar'
  readonly #pack: Pack = pack()
  readonly #piped: Promise<void>
  readonly #mtime: Date
  /** The pending write. Files are written one after the other, as the stream has room. */
  #last: Promise<void> = Promise.resolve()

  /** @param put writes bytes, and resolves when there is room for more */
  constructor(put: (bytes: Uint8Array) => Promise<void>, mtime: Date) {
    this.#mtime = mtime
    this.#piped = this.#pipe(put)
    // The error is reported to callers that write or wait for the end.
    this.#piped.catch(() => undefined)
  }

  has(): boolean {
    return false
  }

  async read(): Promise<undefined> {
    return undefined
  }

  write(path: string, bytes: string | Uint8Array, mode = 0o644): Promise<void> {
    const written = this.#last.then(() => this.#entry(path, Buffer.from(bytes as Uint8Array), mode))
    this.#last = written
    written.catch(() => undefined)
    return written
  }

  /** A stream has no files of an earlier run. */
  async list(): Promise<string[]> {
    return []
  }

  async remove(): Promise<void> {}

  /** Resolves once everything written is in the stream. The reader of the stream is responsible for storing it. */
  async sync(): Promise<void> {
    await this.#last
  }

  /** Ends the stream. @throws SteleError `io_error` if the reader has closed it */
  async finish(): Promise<void> {
    this.#pack.finalize()
    await this.#piped
  }

  async #pipe(put: (bytes: Uint8Array) => Promise<void>): Promise<void> {
    try {
      for await (const bytes of this.#pack as AsyncIterable<Buffer>) await put(bytes)
    } catch (error) {
      throw new SteleError('io_error', `tar: ${(error as Error).message}`, { cause: error })
    }
  }

  #entry(path: string, bytes: Buffer, mode: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const header = { name: path, mode, mtime: this.#mtime, size: bytes.length }
      this.#pack.entry(header, bytes, (error) => (error ? reject(error) : resolve()))
    })
  }
}
