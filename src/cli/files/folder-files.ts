import { closeSync, fstatSync, openSync, read } from 'node:fs'
import { promisify } from 'node:util'
import { join } from 'node:path'
import { decodeUtf8 } from '../../bytes/text.ts'
import type { LogFiles } from '../../client/http-files.ts'
import { SteleError } from '../../errors.ts'
import { HASH_BYTES } from '../../merkle/hash.ts'
import { decodeBundle, encodeBundle } from '../../tile/bundle.ts'
import { formatBundlePath, formatTilePath } from '../../tile/path.ts'

const FULL = 256

const readAt = promisify(read)

/** Reads a log from a folder of static files, as `stele export` writes it (c2sp.org/tlog-tiles). */
export class FolderFiles implements LogFiles {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  /** @throws SteleError `not_found`, `io_error`, `malformed` */
  async checkpoint(): Promise<string> {
    const bytes = await this.#read('checkpoint')
    if (bytes) return decodeUtf8(bytes, join(this.#folder, 'checkpoint'))
    throw new SteleError('not_found', `${this.#folder}: expected a file "checkpoint" in it, found none`)
  }

  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const exact = await this.#read(formatTilePath({ level, index, width }))
    if (exact || width === FULL) return exact
    return (await this.#read(formatTilePath({ level, index, width: FULL })))?.subarray(0, width * HASH_BYTES)
  }

  async bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const exact = await this.#read(formatBundlePath(index, width))
    if (exact || width === FULL) return exact
    const full = await this.#read(formatBundlePath(index, FULL))
    return full && encodeBundle(decodeBundle(full).slice(0, width))
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      return await readWhole(join(this.#folder, path))
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
      throw new SteleError('io_error', `${join(this.#folder, path)}: ${message}`, { cause: error })
    }
  }
}

/**
 * Does the work of `readFile` of fs/promises in half the processor time: its five switches to another thread cost more
 * than reading a tile. Opening a file usually needs only kernel memory, so it is synchronous. Reading may wait for the
 * disk, so it is asynchronous, for several files at a time.
 */
async function readWhole(path: string): Promise<Uint8Array> {
  const file = openSync(path, 'r')
  try {
    const bytes = Buffer.allocUnsafeSlow(fstatSync(file).size)
    let length = 0
    while (length < bytes.length) {
      const { bytesRead } = await readAt(file, bytes, length, bytes.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return bytes.subarray(0, length)
  } finally {
    closeSync(file)
  }
}
