import { open, type FileHandle } from 'node:fs/promises'
import { SteleError } from '../errors.ts'
import { lengthWithCrc32c, maskedCrc32c } from './crc32c.ts'
import { fileError } from './files.ts'

/*
 * LevelDB's log format, used for write-ahead logs and the MANIFEST (doc/log_format.md in its source): blocks of 32 KiB
 * that hold fragments of records, each `masked CRC-32C of type and data | length, uint16 LE | type | data`. The last
 * bytes of a block are padding if they are fewer than seven. All numbers are little-endian.
 *
 * LevelDB checks these checksums too, but silently skips the rest of a damaged block, and deletes a write-ahead log
 * after replaying the rest. So this reader runs first.
 */
const BLOCK_BYTES = 32 * 1024
const HEADER_BYTES = 7
/** Fragment types; between a first and a last one there are some of type 3. Type 0 is reserved, and never written. */
const FULL = 1
const FIRST = 2
const LAST = 4

const READ_BYTES = 32 * BLOCK_BYTES
/** The size of a sector. No record of ours ends with as many zeros. */
const ZERO_TAIL_BYTES = 512

/** A complete record. */
export interface LevelRecord {
  /** Where in the file it begins. */
  readonly offset: number
  readonly length: number
  /** The first bytes of the record, as many as the caller asked for. */
  readonly bytes: Uint8Array
}

/** Bytes at the end of a file that only a crash in the middle of a write can leave. */
export interface TornTail {
  /** Where the incomplete record begins. */
  readonly offset: number
  readonly why: string
}

/**
 * Reads a file in LevelDB's log format and compares each fragment with its checksum. Memory is bounded, except for the
 * kept part of the longest record.
 *
 * A crash can leave two traces of a write that was never synced, which are not damage: the last record is cut off by
 * the end of the file, or by at least a sector of zeros up to the end of the file. Everything else is damage. That
 * includes a complete last record with a wrong checksum, and a length that leads past the end of the file while the
 * checksum fits a shorter length or complete records follow.
 *
 * @param keep how many bytes of each record to return
 * @returns the trace of a crash at the end; undefined if the file ends with a complete record
 * @throws SteleError `corrupt` with the file and the offset; `io_error`
 */
export async function readLevelLog(
  path: string,
  keep: number,
  onRecord: (record: LevelRecord) => void,
): Promise<TornTail | undefined> {
  const file = await openForReading(path)
  try {
    return await readOpenLog(file, path, keep, onRecord)
  } finally {
    await file.close()
  }
}

/** As {@link readLevelLog}, for an open file, which may have been deleted. @param path for messages */
export async function readOpenLog(
  file: FileHandle,
  path: string,
  keep: number,
  onRecord: (record: LevelRecord) => void,
): Promise<TornTail | undefined> {
  try {
    const { size } = await file.stat()
    const scan = new LogScan(path, { size, dataEnd: await endOfData(file, size), keep, onRecord })
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, size))
    for (let at = 0; at < size && !scan.torn;) {
      const bytes = await readAt(file, buffer, at, Math.min(READ_BYTES, size - at))
      for (let i = 0; i < bytes.length; i += BLOCK_BYTES) {
        scan.block(bytes.subarray(i, i + BLOCK_BYTES), at + i)
      }
      at += bytes.length
    }
    return scan.end()
  } catch (error) {
    throw error instanceof SteleError ? error : fileError(path, error)
  }
}

interface LogScanOptions {
  readonly size: number
  /** Start of the zeros at the end of the file; the file's size if there are fewer than a sector. */
  readonly dataEnd: number
  readonly keep: number
  readonly onRecord: (record: LevelRecord) => void
}

/** Takes the blocks of one file in order. Owner of the record that is being assembled. */
class LogScan {
  torn: TornTail | undefined
  readonly #path: string
  readonly #options: LogScanOptions
  /** Where the current record begins; undefined between two records. */
  #begin: number | undefined
  #length = 0
  #kept: Buffer[] = []
  #keptBytes = 0

  constructor(path: string, options: LogScanOptions) {
    this.#path = path
    this.#options = options
  }

  /** @param begin where in the file the block begins */
  block(block: Uint8Array, begin: number): void {
    let at = 0
    while (!this.torn && block.length - at >= HEADER_BYTES) at = this.#fragment(block, at, begin)
    const isPadding = block.length === BLOCK_BYTES
    if (!this.torn && !isPadding && at < block.length) this.#tear(begin + at, 'its header is cut off')
  }

  end(): TornTail | undefined {
    if (!this.torn && this.#begin !== undefined) this.#tear(this.#begin, 'its last fragment is missing')
    return this.torn
  }

  /** @returns where the next fragment begins */
  #fragment(block: Uint8Array, at: number, begin: number): number {
    const end = at + HEADER_BYTES + block[at + 4]! + 256 * block[at + 5]!
    const type = block[at + 6]!
    const why = faultOf(block, at, end)
    if (why !== undefined) {
      if (!this.#mayBeTorn(block, at, end, begin)) throw this.#damaged(begin + at, why)
      this.#tear(begin + at, why)
      return block.length
    }
    const starts = type === FULL || type === FIRST
    if (starts !== (this.#begin === undefined)) {
      throw this.#damaged(
        begin + at,
        starts ? 'the record before it has no end' : 'it is a part of no record',
      )
    }
    if (starts) this.#begin = begin + at
    this.#keep(block.subarray(at + HEADER_BYTES, end))
    if (type === FULL || type === LAST) this.#whole()
    return end
  }

  #keep(data: Uint8Array): void {
    this.#length += data.length
    const room = this.#options.keep - this.#keptBytes
    if (room <= 0 || data.length === 0) return
    // A copy: the buffer of the block is reused.
    const kept = Buffer.from(data.subarray(0, room))
    this.#keptBytes += kept.length
    this.#kept.push(kept)
  }

  #whole(): void {
    const bytes = this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
    this.#options.onRecord({ offset: this.#begin!, length: this.#length, bytes })
    this.#begin = undefined
    this.#length = this.#keptBytes = 0
    this.#kept = []
  }

  #mayBeTorn(block: Uint8Array, at: number, end: number, begin: number): boolean {
    const { dataEnd } = this.#options
    const isCut = begin + end > dataEnd && end <= BLOCK_BYTES
    if (!isCut && begin + at + HEADER_BYTES <= dataEnd) return false
    const written = block.subarray(0, Math.max(0, dataEnd - begin))
    return !fitsShorterLength(written, at) && !holdsRecord(written, at + 1)
  }

  #tear(offset: number, why: string): void {
    this.torn = { offset: this.#begin ?? offset, why }
  }

  #damaged(offset: number, why: string): SteleError {
    return new SteleError('corrupt', `${this.#path}: damaged at byte ${offset}: ${why}`)
  }
}

/** What is wrong with the fragment in bytes [at, end) of a block. */
function faultOf(block: Uint8Array, at: number, end: number): string | undefined {
  if (end > BLOCK_BYTES) return 'its length leads out of its block'
  if (end > block.length) return 'it ends behind the end of the file'
  const type = block[at + 6]!
  if (type < FULL || type > LAST) return `there is no fragment type ${type}`
  if (maskedCrc32c(block, at + 6, end) !== storedCrc(block, at)) return 'its checksum does not match'
  return undefined
}

/** True if only the length of a fragment is wrong: its checksum fits a shorter one. */
function fitsShorterLength(written: Uint8Array, at: number): boolean {
  if (written.length - at < HEADER_BYTES) return false
  return lengthWithCrc32c(written.subarray(at + 6), storedCrc(written, at)) !== undefined
}

/** True if a complete fragment begins at or after `from`. */
function holdsRecord(written: Uint8Array, from: number): boolean {
  for (let at = from; at + HEADER_BYTES <= written.length; at++) {
    const end = at + HEADER_BYTES + written[at + 4]! + 256 * written[at + 5]!
    if (end <= written.length && faultOf(written, at, end) === undefined) return true
  }
  return false
}

function storedCrc(block: Uint8Array, at: number): number {
  return (block[at]! | (block[at + 1]! << 8) | (block[at + 2]! << 16) | (block[at + 3]! << 24)) >>> 0
}

/** Start of the zeros at the end of a file, if there is at least a sector of them; else its size. */
async function endOfData(file: FileHandle, size: number): Promise<number> {
  const buffer = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size))
  let end = size
  while (end > 0) {
    const from = Math.max(0, end - BLOCK_BYTES)
    const bytes = await readAt(file, buffer, from, end - from)
    let last = bytes.length
    while (last > 0 && bytes[last - 1] === 0) last--
    end = from + last
    if (last > 0) break
  }
  return size - end >= ZERO_TAIL_BYTES ? end : size
}

async function readAt(file: FileHandle, buffer: Buffer, position: number, length: number): Promise<Buffer> {
  let read = 0
  while (read < length) {
    const { bytesRead } = await file.read(buffer, read, length - read, position + read)
    if (bytesRead === 0)
      throw new Error(`expected ${length} bytes at ${position}, the file has become shorter`)
    read += bytesRead
  }
  return buffer.subarray(0, length)
}

/** @throws SteleError `io_error` */
export async function openForReading(path: string): Promise<FileHandle> {
  return open(path, 'r').catch((error: unknown) => {
    throw fileError(path, error)
  })
}
