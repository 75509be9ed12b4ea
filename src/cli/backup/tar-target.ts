import { pack, type Pack } from 'tar-stream'
import { SteleError } from '../../errors.ts'
import type { ExportTarget } from '../export/target.ts'

/** A tar stream: everything is written once, in whatever order it comes, and the checkpoint last. */
export class TarTarget implements ExportTarget {
  readonly name = 'tar'
  readonly #pack: Pack = pack()
  readonly #piped: Promise<void>
  readonly #mtime: Date
  /** One file after the other: each waits until the stream had room for the one before. */
  #last: Promise<void> = Promise.resolve()

  /** @param put takes the next bytes, and resolves when there is room for more */
  constructor(put: (bytes: Uint8Array) => Promise<void>, mtime: Date) {
    this.#mtime = mtime
    this.#piped = this.#pipe(put)
    // Whoever writes or waits for the end is told.
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

  /** Nothing of an earlier run is in it. */
  async list(): Promise<string[]> {
    return []
  }

  async remove(): Promise<void> {}

  /** What was written is in the stream; whether it is on a disk is for who reads it to say. */
  async sync(): Promise<void> {
    await this.#last
  }

  /** Ends the stream. @throws SteleError `io_error` if its reader went away */
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
