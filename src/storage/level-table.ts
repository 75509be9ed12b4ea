import { open, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../errors.ts'
import { maskedCrc32c } from './crc32c.ts'
import { fileError } from './files.ts'
import { Fields, KEY_TRAILER_BYTES, tableName, type TableMeta } from './level-files.ts'

/*
 * LevelDB's table files (doc/table_format.md in its source): blocks, each followed by its type and masked CRC-32C; an
 * index block with the last key and the place of each data block; a filter block; a metaindex block with its place; and
 * a footer of 48 bytes with the places of the last two.
 *
 * LevelDB does not check these checksums when it reads, and the binding has no option for it. A key that is too short
 * ends the whole process, and a damaged filter hides keys that are there. So a block is read and checked here before
 * LevelDB reads it.
 */
const TRAILER_BYTES = 5
const FOOTER_BYTES = 48
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
/** An empty block, and a footer. */
const TABLE_END_BYTES = 4 + TRAILER_BYTES + FOOTER_BYTES
const UNCOMPRESSED = 0
const SNAPPY = 1
/** Size of one read when a whole file is checked. */
const READ_BYTES = 256 * 1024

/** A damaged block, and the keys that cannot be read because of it. */
export interface TableFault {
  readonly table: TableMeta
  readonly offset: number
  readonly bytes: number
  readonly what: 'data' | 'index' | 'filter' | 'footer'
  /** Keys above this one, or from the file's first one on. */
  readonly after: Uint8Array | undefined
  /** Keys up to this one. */
  readonly last: Uint8Array
}

interface Handle {
  readonly offset: number
  readonly bytes: number
}

/** The places of a table's data blocks: block n holds keys up to `last(n)`. */
class BlockIndex {
  readonly #block: Uint8Array
  /** For each block: begin and end of its last key in the index, its offset and its size. */
  readonly #places: Float64Array

  /** @throws SteleError `corrupt` */
  constructor(block: Uint8Array, path: string) {
    const places: number[] = []
    const keys: Uint8Array[] = []
    let bytes = 0
    for (const [key, value] of blockEntries(block, path)) {
      const fields = new Fields(
        value,
        (expected) => new SteleError('corrupt', `${path}: expected ${expected}`),
      )
      keys.push(key.subarray(0, key.length - KEY_TRAILER_BYTES))
      places.push(
        bytes,
        (bytes += key.length - KEY_TRAILER_BYTES),
        fields.number('an offset'),
        fields.number('a size'),
      )
    }
    this.#block = Buffer.concat(keys)
    this.#places = Float64Array.from(places)
  }

  get length(): number {
    return this.#places.length / 4
  }

  last(n: number): Uint8Array {
    return this.#block.subarray(this.#places[4 * n], this.#places[4 * n + 1])
  }

  handle(n: number): Handle {
    return { offset: this.#places[4 * n + 2]!, bytes: this.#places[4 * n + 3]! }
  }

  /** The block that a key is in, if this table has the key. */
  blockOf(key: Uint8Array): number | undefined {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (Buffer.compare(this.last(middle), key) < 0) low = middle + 1
      else high = middle
    }
    return low < this.length ? low : undefined
  }
}

/** States of a data block. */
const GOOD = 1
const EMPTY = 2
const BAD = 3

/**
 * One table file. Owner of the check results of its blocks; the file never changes, but may decay. It is read as a
 * whole when a key of it is needed for the first time: 2 MiB at once cost less than finding its blocks one by one.
 */
export class TableFile {
  readonly meta: TableMeta
  readonly path: string
  /** A damaged block without which no other can be found: nothing in the file is read. */
  #broken: TableFault | undefined
  #metaindex: Handle | undefined
  /** True once the whole file was checked. */
  #isChecked = false
  #faults: readonly TableFault[] = []
  /** The check in progress; readers of its keys wait for it. */
  #checking: Promise<void> | undefined

  constructor(folder: string, meta: TableMeta) {
    this.meta = meta
    this.path = join(folder, tableName(meta.number))
  }

  /** True if the whole file was checked and is undamaged. */
  get isGood(): boolean {
    return this.#isChecked && this.faults.length === 0
  }

  get faults(): readonly TableFault[] {
    return this.#broken ? [this.#broken] : this.#faults
  }

  holds(key: Uint8Array): boolean {
    return Buffer.compare(this.meta.smallest, key) <= 0 && Buffer.compare(key, this.meta.largest) <= 0
  }

  /** Whether a key can be read; undefined before the check. */
  known(key: Uint8Array): TableFault | 'good' | undefined {
    if (this.#broken) return this.#broken
    return this.#isChecked ? (this.#faults.find((fault) => concerns(fault, key)) ?? 'good') : undefined
  }

  /** The fault that keeps a key from being read, after a check of the whole file. @throws SteleError `io_error` */
  async check(key: Uint8Array): Promise<TableFault | undefined> {
    this.#checking ??= this.checkAll(async () => {})
      .then(() => {})
      .finally(() => (this.#checking = undefined))
    await this.#checking
    const known = this.known(key)
    return known === 'good' ? undefined : known
  }

  /** The same for the newest keys. Checks only the last block that has keys. @throws SteleError `io_error` */
  async checkLast(): Promise<TableFault | undefined> {
    return this.#open(async (file) => {
      const index = await this.#load(file)
      if (!index) return this.#broken
      for (let block = index.length - 1; block >= 0; block--) {
        const [state] = await checkBlocks(file, index, block, block + 1)
        if (state === BAD) return this.#fault(index, block)
        if (state === GOOD) return undefined
      }
      return undefined
    })
  }

  /**
   * Reads and checks the whole file again.
   *
   * @param between awaited after each read, so that others get their turn
   * @returns how many bytes were read
   * @throws SteleError `io_error`
   */
  async checkAll(between: () => Promise<void>): Promise<number> {
    await this.#open(async (file) => {
      const index = await this.#load(file)
      if (!index) return
      const faults: TableFault[] = []
      for (let block = 0; block < index.length;) {
        const states = await checkBlocks(file, index, block, runEnd(index, block))
        for (const state of states) {
          if (state === BAD) faults.push(this.#fault(index, block))
          block++
        }
        await between()
      }
      this.#faults = faults
      this.#isChecked = true
    })
    return this.meta.bytes
  }

  /** Reads footer, filters and index. */
  async #load(file: FileHandle): Promise<BlockIndex | undefined> {
    const broken = (what: TableFault['what'], { offset, bytes }: Handle): undefined => {
      const { smallest: _, largest: last } = this.meta
      this.#broken = { table: this.meta, offset, bytes, what, after: undefined, last }
    }
    const place = { offset: Math.max(0, this.meta.bytes - FOOTER_BYTES), bytes: FOOTER_BYTES }
    const handles = readFooter(await readAt(file, place.offset, FOOTER_BYTES), this.meta.bytes)
    if (!handles) return broken('footer', place)
    const [metaindex, index] = handles
    this.#metaindex = metaindex
    const block = await this.#block(file, index)
    if (!block) return broken('index', index)
    const filters = await this.#block(file, metaindex)
    if (!filters) return broken('filter', metaindex)
    for (const [, value] of blockEntries(filters, this.path)) {
      const filter = readHandle(value)
      if (!filter || !this.#fits(filter) || !(await this.#block(file, filter)))
        return broken('filter', filter && this.#fits(filter) ? filter : metaindex)
    }
    this.#broken = undefined
    return new BlockIndex(block, this.path)
  }

  /** The block, or undefined if it is damaged. */
  async #block(file: FileHandle, { offset, bytes }: Handle): Promise<Uint8Array | undefined> {
    const block = await readAt(file, offset, bytes + TRAILER_BYTES)
    return isWhole(block, bytes) ? unpacked(block, bytes) : undefined
  }

  #fault(index: BlockIndex, block: number): TableFault {
    return {
      table: this.meta,
      ...index.handle(block),
      what: 'data',
      after: block > 0 ? index.last(block - 1) : undefined,
      last: block + 1 < index.length ? index.last(block) : this.meta.largest,
    }
  }

  #fits({ offset, bytes }: Handle): boolean {
    return offset + bytes + TRAILER_BYTES <= this.meta.bytes
  }

  async #open<T>(task: (file: FileHandle) => Promise<T>, flags = 'r'): Promise<T> {
    let file: FileHandle | undefined
    try {
      file = await open(this.path, flags)
      return await task(file)
    } catch (error) {
      throw error instanceof SteleError ? error : fileError(this.path, error)
    } finally {
      await file?.close()
    }
  }

  /**
   * Replaces each damaged block by an empty one and syncs, so that LevelDB finds nothing there and goes on. The file
   * keeps its size. Only for a file of which LevelDB has read nothing since it was opened.
   */
  async clearFaults(): Promise<void> {
    const { faults } = this
    await this.#open(async (file) => {
      for (const { what, offset, bytes } of faults) {
        if (what === 'footer')
          await writeAt(file, emptyTableEnd(this.meta.bytes), this.meta.bytes - TABLE_END_BYTES)
        // A table whose metaindex block is empty has no filters.
        else if (what === 'filter')
          await writeAt(file, emptyBlock(this.#metaindex!.bytes), this.#metaindex!.offset)
        else await writeAt(file, emptyBlock(bytes), offset)
      }
      await file.sync()
    }, 'r+')
    this.#broken = undefined
    await this.checkAll(async () => {})
  }
}

/** The end of the run of blocks, from `block` on, that is read at once. */
function runEnd(index: BlockIndex, block: number): number {
  let end = block
  for (let bytes = 0; end < index.length && bytes < READ_BYTES; end++) bytes += index.handle(end).bytes
  return end
}

/** The states of the blocks in [begin, end), which are read at once. */
async function checkBlocks(
  file: FileHandle,
  index: BlockIndex,
  begin: number,
  end: number,
): Promise<number[]> {
  const first = index.handle(begin).offset
  const last = index.handle(end - 1)
  const run = await readAt(file, first, last.offset + last.bytes + TRAILER_BYTES - first)
  return Array.from({ length: end - begin }, (_, i) => {
    const { offset, bytes } = index.handle(begin + i)
    const block = run.subarray(offset - first, offset - first + bytes + TRAILER_BYTES)
    if (!isWhole(block, bytes)) return BAD
    return isEmpty(block, bytes) ? EMPTY : GOOD
  })
}

/** True if the fault makes this key unreadable. */
function concerns({ after, last }: TableFault, key: Uint8Array): boolean {
  return (!after || Buffer.compare(after, key) < 0) && Buffer.compare(key, last) <= 0
}

/** @returns fewer bytes where the file ends */
async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length)
  let read = 0
  while (read < length) {
    const { bytesRead } = await file.read(buffer, read, length - read, position + read)
    if (bytesRead === 0) break
    read += bytesRead
  }
  return buffer.subarray(0, read)
}

async function writeAt(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += (await file.write(bytes, at, bytes.length - at, position + at)).bytesWritten
  }
}

/** True if a block of this size, followed by its trailer, matches its checksum. */
function isWhole(block: Buffer, bytes: number): boolean {
  return (
    block.length === bytes + TRAILER_BYTES &&
    block.readUInt32LE(bytes + 1) === maskedCrc32c(block, 0, bytes + 1)
  )
}

/** True for a block of `clearFaults`: LevelDB writes no block without a restart point. */
function isEmpty(block: Buffer, bytes: number): boolean {
  return block[bytes] === UNCOMPRESSED && bytes >= 4 && block.readUInt32LE(bytes - 4) === 0
}

function emptyBlock(bytes: number): Buffer {
  const block = Buffer.alloc(bytes + TRAILER_BYTES)
  block.writeUInt32LE(maskedCrc32c(block, 0, bytes + 1), bytes + 1)
  return block
}

/** An empty block and a footer that points only to it: the end of a table without entries. */
function emptyTableEnd(tableBytes: number): Buffer {
  const block = emptyBlock(4)
  const handle = Buffer.from([...varint(tableBytes - TABLE_END_BYTES), 4])
  const footer = Buffer.alloc(FOOTER_BYTES)
  Buffer.concat([handle, handle]).copy(footer)
  MAGIC.copy(footer, FOOTER_BYTES - MAGIC.length)
  return Buffer.concat([block, footer])
}

function varint(n: number): number[] {
  return n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]
}

/** The places of metaindex and index. A footer has no checksum, but the layout of a file determines its values. */
function readFooter(
  footer: Buffer,
  tableBytes: number,
): readonly [metaindex: Handle, index: Handle] | undefined {
  if (footer.length !== FOOTER_BYTES || !footer.subarray(-MAGIC.length).equals(MAGIC)) return undefined
  const metaindex = readHandle(footer)
  const index = readHandle(footer, 2)
  if (!metaindex || !index) return undefined
  const isLast = index.offset + index.bytes + TRAILER_BYTES + FOOTER_BYTES === tableBytes
  const follows = metaindex.offset + metaindex.bytes + TRAILER_BYTES === index.offset
  const isEmptied = metaindex.offset === index.offset && metaindex.bytes === index.bytes
  return isLast && (follows || isEmptied) ? [metaindex, index] : undefined
}

/** @param nth of several, from 1 on */
function readHandle(bytes: Uint8Array, nth = 1): Handle | undefined {
  const fields = new Fields(bytes, notRead)
  try {
    let handle: Handle | undefined
    for (let n = 0; n < nth; n++) {
      handle = { offset: fields.number('an offset'), bytes: fields.number('a size') }
    }
    return handle
  } catch {
    return undefined
  }
}

function notRead(expected: string): SteleError {
  return new SteleError('corrupt', `expected ${expected}`)
}

/**
 * The content of a block whose checksum is right. @throws SteleError `corrupt` for a type that LevelDB does not write
 */
function unpacked(block: Buffer, bytes: number): Uint8Array {
  if (block[bytes] === UNCOMPRESSED) return block.subarray(0, bytes)
  if (block[bytes] === SNAPPY) return unsnapped(block.subarray(0, bytes))
  throw notRead(`a block that is plain or compressed by Snappy, found type ${block[bytes]}`)
}

/** Decodes Snappy: the length, then literal bytes and copies of earlier ones. */
function unsnapped(packed: Uint8Array): Uint8Array {
  const fields = new Fields(packed, notRead)
  const bytes = Buffer.alloc(fields.number('a length'))
  let at = 0
  while (!fields.atEnd) {
    const tag = fields.bytes(1, 'a tag')[0]!
    if ((tag & 3) === 0) {
      const length =
        tag >> 2 < 60 ? (tag >> 2) + 1 : littleEndian(fields.bytes((tag >> 2) - 59, 'a length')) + 1
      bytes.set(fields.bytes(length, 'a literal'), at)
      at += length
      continue
    }
    const isShort = (tag & 3) === 1
    const length = isShort ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
    const low = littleEndian(fields.bytes(isShort ? 1 : (tag & 3) === 2 ? 2 : 4, 'an offset'))
    const from = at - (isShort ? (tag >> 5) * 256 + low : low)
    // Byte by byte: a copy may overlap its own output.
    for (let i = 0; i < length; i++) bytes[at + i] = bytes[from + i]!
    at += length
  }
  return bytes
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((n, byte) => n * 256 + byte, 0)
}

/** The entries of a block, each with its full key. */
function* blockEntries(block: Uint8Array, path: string): Generator<[key: Uint8Array, value: Uint8Array]> {
  const fail = (expected: string): SteleError => new SteleError('corrupt', `${path}: expected ${expected}`)
  if (block.length < 4) throw fail('a block')
  const restarts = littleEndian(block.subarray(-4))
  const fields = new Fields(block.subarray(0, Math.max(0, block.length - 4 * (restarts + 1))), fail)
  if (restarts === 0) return
  let key = Buffer.alloc(0)
  while (!fields.atEnd) {
    const shared = fields.number('a length')
    const [rest, size] = [fields.number('a length'), fields.number('a length')]
    key = Buffer.concat([key.subarray(0, shared), fields.bytes(rest, 'a key')])
    yield [key, fields.bytes(size, 'a value')]
  }
}
