import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { SteleError } from '../../errors.ts'
import type { Io } from '../io.ts'

/** Means standard input in place of a file name. */
export const STDIN = '-'

/** All bytes of a file, or of standard input for `-`. @throws SteleError `io_error` */
export async function readInput(path: string, io: Io): Promise<Uint8Array> {
  try {
    if (path !== STDIN) return await readFile(path)
    const parts: Uint8Array[] = []
    for await (const part of io.stdin) parts.push(part as Uint8Array)
    return Buffer.concat(parts)
  } catch (error) {
    throw inputError(path, error)
  }
}

/** Streams a file, or standard input for `-`. @throws SteleError `io_error` while reading */
export async function* streamInput(path: string, io: Io): AsyncGenerator<Uint8Array, void, undefined> {
  const stream: Readable = path === STDIN ? io.stdin : createReadStream(path, { highWaterMark: 256 * 1024 })
  try {
    for await (const part of stream) yield part as Uint8Array
  } catch (error) {
    throw inputError(path, error)
  }
}

function inputError(path: string, error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof SteleError || code === undefined) return error
  const name = path === STDIN ? 'standard input' : path
  const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message
  return new SteleError('io_error', `${name}: ${reason}`, { cause: error })
}
