import { createHash, randomBytes } from 'node:crypto'
import { constants, type FileHandle, open, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode, SteleError } from '../errors.ts'
import { fileError, syncFolder, writeAt, writeNewFile } from './files.ts'
import { holdLock, type Lock } from './lock.ts'

/**
 * The second copy of the last signed head. LevelDB alone cannot tell that it was rolled back: a truncated write-ahead
 * log, or yesterday's copy of the folder, opens without an error. This file is synced after each commit and before its
 * acknowledgement, so a database that is behind it has lost acknowledged entries.
 */
export interface HeadFile extends HeadRecords {
  /**
   * Resolves once the record is on disk. If it rejects, the older record is still there.
   *
   * @throws SteleError `second_writer`: another process has written to the file since
   */
  write(record: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** The content of a head file. */
export interface HeadRecords {
  /** The records that are readable, newest first: two in a healthy file, one after a torn write. */
  readonly records: readonly Uint8Array[]
  /** False when one of the two slots is damaged: by a write that a crash interrupted, or by decay. */
  readonly intact: boolean
}

/*
 * Two slots of fixed size, written in turns and in place: one write and one fdatasync, no rename, and a torn write
 * leaves the other slot whole. A slot is: uint64 sequence | uint32 length | SHA-256 of sequence, length and
 * record | record | 16 bytes writer | SHA-256 of all that is before it. The last two are not there in files of before.
 * The file has its full size from the start, so a sync has no metadata to write.
 */
const SLOT_BYTES = 32 * 1024 // a checkpoint with sixteen lines of 1 KiB and a margin
const HEADER_BYTES = 44
const WRITER_BYTES = 16
const TRAILER_BYTES = WRITER_BYTES + 32
const MOST_RECORD_BYTES = SLOT_BYTES - HEADER_BYTES - TRAILER_BYTES
const MAGIC = Buffer.from('stele head file 1\n')
const FIRST_SLOT = 4096

interface Slot {
  readonly sequence: number
  readonly record: Uint8Array
}

/** Reads a head file without changing it. @throws SteleError as {@link openHeadFile} */
export async function readHeadFile(path: string): Promise<HeadRecords> {
  const file = await openFile(path, constants.O_RDONLY)
  try {
    return await readSlots(file, path)
  } finally {
    await file.close()
  }
}

/**
 * Opens the head file of a log for writing. If the previous process was killed before its sync, or its sync failed, the
 * newest record may be only in the page cache. So the newest slot is written again and synced before it is used.
 *
 * @param options.lock locks the file for this process: for a file at a path that two data folders could share
 * @throws SteleError `head_missing` when there is none, `corrupt` when neither slot can be read, `foreign_format`;
 *   `locked`, `io_error`
 */
export async function openHeadFile(
  path: string,
  options: { readonly lock?: boolean } = {},
): Promise<HeadFile> {
  const file = await openFile(path, constants.O_RDWR)
  let lock: Lock | undefined
  try {
    lock = options.lock ? await lockHeadFile(path) : undefined
    const found = await readSlots(file, path)
    await found.settle()
    return new SlotFile(file, path, found, lock)
  } catch (error) {
    await lock?.close()
    await file.close()
    throw error
  }
}

/** The lock is a database beside the file, because the file is written in place. */
async function lockHeadFile(path: string): Promise<Lock> {
  return holdLock(`${path}.lock`).catch((error: unknown) => {
    if (!hasCode(error, 'locked')) throw error
    throw new SteleError(
      'locked',
      `${path}: another process writes its last signed head there. Two logs that share a head file are two writers ` +
        `with one key; stop the other one first`,
      { cause: error },
    )
  })
}

async function openFile(path: string, flags: number): Promise<FileHandle> {
  return open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(path, error)
    throw new SteleError(
      'head_missing',
      `${path}: the second copy of the last signed head is not there. Without it the server cannot tell whether the ` +
        `database was rolled back, so nothing is signed. Put the file back; if it is lost for good, compare the ` +
        `log with a checkpoint that someone else kept, then run "stele log adopt-head"`,
      { cause: error },
    )
  })
}

/**
 * Makes the head file of a new log, synced, the folder's entry for it included. Leaves none behind where it fails.
 *
 * @param record of the log's first head
 * @throws SteleError `already_exists` for a path where something is; `io_error`
 */
export async function createHeadFile(path: string, record: Uint8Array): Promise<void> {
  const bytes = Buffer.alloc(FIRST_SLOT + 2 * SLOT_BYTES)
  MAGIC.copy(bytes)
  encodeSlot({ sequence: 1, record }, randomBytes(WRITER_BYTES)).copy(bytes, FIRST_SLOT + SLOT_BYTES)
  await writeNewFile(path, bytes, 0o600).catch((error: unknown) => {
    if (!hasCode(error, 'already_exists')) throw error
    throw new SteleError('already_exists', `${path}: there is a head file already`, { cause: error.cause })
  })
  await syncFolder(dirname(path)).catch(async (error: unknown) => {
    await rm(path, { force: true }).catch(() => undefined)
    throw error
  })
}

/**
 * Whether a file is a head file whose making was cut short by a crash: the beginning of one, shorter than it has to be. It never
 * held a head.
 *
 * @throws SteleError `head_missing`, `io_error`
 */
export async function isHalfMade(path: string): Promise<boolean> {
  const file = await openFile(path, constants.O_RDONLY)
  try {
    const { size } = await file.stat()
    const bytes = Buffer.alloc(Math.min(size, MAGIC.length))
    await file.read(bytes, 0, bytes.length, 0)
    return size < FIRST_SLOT + 2 * SLOT_BYTES && bytes.equals(MAGIC.subarray(0, bytes.length))
  } catch (error) {
    throw fileError(path, error)
  } finally {
    await file.close()
  }
}

/** The two slots as they are read. */
interface Found extends HeadRecords {
  /** Number of the last write; its parity says which slot holds it. */
  readonly sequence: number
  /** The written part of each slot. */
  readonly slots: readonly Buffer[]
  /** Writes the newest slot again, the same bytes in the same place, and syncs. */
  settle(): Promise<void>
}

async function readSlots(file: FileHandle, path: string): Promise<Found> {
  const bytes = await file.readFile().catch((error: unknown) => {
    throw fileError(path, error)
  })
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SteleError('foreign_format', `${path}: expected "stele head file 1" at its start`)
  }
  const areas = [0, 1].map((n) =>
    bytes.subarray(FIRST_SLOT + n * SLOT_BYTES, FIRST_SLOT + (n + 1) * SLOT_BYTES),
  )
  const whole = areas.map(decodeSlot).filter((slot) => slot !== undefined)
  whole.sort((a, b) => b.sequence - a.sequence)
  const newest = whole[0]
  if (!newest) {
    throw new SteleError('corrupt', `${path}: neither of the two copies of the last signed head is whole`)
  }
  const slots = areas.map(writtenPart)
  const { sequence } = newest
  return {
    records: whole.map((slot) => slot.record),
    intact: areas.every((area) => decodeSlot(area) !== undefined || area.every((byte) => byte === 0)),
    sequence,
    slots,
    settle: () => writeSlot(file, path, slots[sequence % 2]!, sequence),
  }
}

/** A copy, so that the buffer of the whole file can be freed. */
function writtenPart(area: Buffer): Buffer {
  const length = area.length < HEADER_BYTES ? 0 : area.readUInt32BE(8)
  const end = length > MOST_RECORD_BYTES ? HEADER_BYTES : HEADER_BYTES + length + TRAILER_BYTES
  return Buffer.from(area.subarray(0, end))
}

async function writeSlot(file: FileHandle, path: string, slot: Buffer, sequence: number): Promise<void> {
  try {
    await writeAt(file, slot, placeOf(sequence))
    await file.datasync()
  } catch (error) {
    throw fileError(path, error)
  }
}

function placeOf(sequence: number): number {
  return FIRST_SLOT + (sequence % 2) * SLOT_BYTES
}

/** Owner of the file's content. It writes only where it finds the bytes that it wrote last. */
class SlotFile implements HeadFile {
  readonly records: readonly Uint8Array[]
  readonly intact: boolean
  readonly #file: FileHandle
  readonly #path: string
  readonly #lock: Lock | undefined
  /** Distinguishes two writers that sign the same head at the same time. */
  readonly #writer = randomBytes(WRITER_BYTES)
  /** The expected content of each slot; undefined after a failed write. */
  readonly #slots: (Buffer | undefined)[]
  /** Number of the last write; its parity says which slot holds it. */
  #sequence: number

  constructor(file: FileHandle, path: string, found: Found, lock: Lock | undefined) {
    this.#file = file
    this.#path = path
    this.#lock = lock
    this.#slots = [...found.slots]
    this.#sequence = found.sequence
    this.records = found.records
    this.intact = found.intact
  }

  async write(record: Uint8Array): Promise<void> {
    const sequence = this.#sequence + 1
    const slot = encodeSlot({ sequence, record }, this.#writer)
    const [own, other] = [sequence % 2, (sequence + 1) % 2]
    // Before the write, which would destroy the evidence of another writer.
    await this.#checkAlone(own)
    this.#slots[own] = undefined
    // The other slot is checked while the disk writes, so that the check costs no time.
    await Promise.all([writeSlot(this.#file, this.#path, slot, sequence), this.#checkAlone(other)])
    this.#slots[own] = slot
    this.#sequence = sequence
  }

  /** Reads from the page cache, where a write by another process is visible at once. */
  async #checkAlone(n: number): Promise<void> {
    const isAsLeft = await this.#isAsLeft(n).catch((error: unknown) => {
      throw fileError(this.#path, error)
    })
    if (isAsLeft) return
    throw new SteleError(
      'second_writer',
      `${this.#path}: it does not hold what this process wrote last: another process writes its last signed head there, ` +
        `so this one signs nothing more. Two writers with one key make two histories. Find the other one, and let one ` +
        `of them go on`,
    )
  }

  async #isAsLeft(n: number): Promise<boolean> {
    const expected = this.#slots[n]
    if (expected === undefined || expected.length === 0) return true
    const found = Buffer.alloc(expected.length)
    await this.#file.read(found, 0, found.length, placeOf(n))
    return found.equals(expected)
  }

  async close(): Promise<void> {
    await this.#file.close()
    await this.#lock?.close()
  }
}

function encodeSlot({ sequence, record }: Slot, writer: Uint8Array): Buffer {
  if (record.length > MOST_RECORD_BYTES) {
    throw new SteleError('too_large', `head file: a head of ${record.length} bytes does not fit its slot`)
  }
  const slot = Buffer.alloc(HEADER_BYTES + record.length + TRAILER_BYTES)
  slot.writeBigUInt64BE(BigInt(sequence), 0)
  slot.writeUInt32BE(record.length, 8)
  slot.set(record, HEADER_BYTES)
  const end = HEADER_BYTES + record.length
  slot.set(digest(slot.subarray(0, end)), 12)
  slot.set(writer, end)
  const signed = slot.subarray(0, end + WRITER_BYTES)
  slot.set(createHash('sha256').update(signed).digest(), signed.length)
  return slot
}

function decodeSlot(area: Buffer): Slot | undefined {
  if (area.length < HEADER_BYTES) return undefined
  const length = area.readUInt32BE(8)
  if (length === 0 || length > area.length - HEADER_BYTES) return undefined
  const slot = area.subarray(0, HEADER_BYTES + length)
  if (!digest(slot).equals(slot.subarray(12, HEADER_BYTES))) return undefined
  return { sequence: Number(slot.readBigUInt64BE(0)), record: new Uint8Array(slot.subarray(HEADER_BYTES)) }
}

function digest(slot: Buffer): Buffer {
  return createHash('sha256').update(slot.subarray(0, 12)).update(slot.subarray(HEADER_BYTES)).digest()
}
