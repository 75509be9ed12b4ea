import { createHash } from 'node:crypto'
import { constants, type FileHandle, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { hasCode, SteleError } from '../errors.ts'
import { fileError, syncFolder, writeNewFile } from './files.ts'

/**
 * The second place where the last signed head is kept. LevelDB alone cannot tell that it was rolled back: a cut
 * write-ahead log, or yesterday's copy of the folder, opens without an error. This file is synced after each
 * commit and before its acknowledgement, so a database that is behind it has lost something that was promised.
 */
export interface HeadFile {
  /** The records that can be read whole, newest first: two in a healthy file, one after a torn write. */
  readonly records: readonly Uint8Array[]
  /** False when one of two slots holds something that is not whole: a write torn by a crash, or rot. */
  readonly intact: boolean
  /** Resolves once the record is on disk. If it rejects, the older record is still there. */
  write(record: Uint8Array): Promise<void>
  close(): Promise<void>
}

/*
 * Two slots of fixed size, written in turns and in place: one write and one fdatasync, no rename, and a torn write
 * leaves the other slot whole. A slot is: uint64 sequence | uint32 length | SHA-256 of sequence, length and
 * record | record. The file has its full size from the start, so a sync has no metadata to write.
 */
const SLOT_BYTES = 32 * 1024 // a checkpoint with sixteen lines of 1 KiB and a margin
const HEADER_BYTES = 44
const MAGIC = Buffer.from('stele head file 1\n')
const FIRST_SLOT = 4096

interface Slot {
  readonly sequence: number
  readonly record: Uint8Array
}

/**
 * Opens the head file of a log.
 *
 * @throws SteleError `head_missing` when there is none, `corrupt` when neither slot can be read, `foreign_format`
 */
export async function openHeadFile(path: string): Promise<HeadFile> {
  const file = await open(path, constants.O_RDWR).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(path, error)
    throw new SteleError(
      'head_missing',
      `${path}: the second copy of the last signed head is not there. Without it nobody can tell whether the ` +
        `database was rolled back, so nothing is signed. Put the file back; if it is lost for good, compare the ` +
        `log with a checkpoint that someone else kept, then run "stele log adopt-head"`,
      { cause: error },
    )
  })
  try {
    return await readSlots(file, path)
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Makes the head file of a new log, synced, the folder's entry for it included. Refuses to overwrite one. */
export async function createHeadFile(path: string, record: Uint8Array): Promise<void> {
  const bytes = Buffer.alloc(FIRST_SLOT + 2 * SLOT_BYTES)
  MAGIC.copy(bytes)
  encodeSlot({ sequence: 1, record }).copy(bytes, FIRST_SLOT + SLOT_BYTES)
  await writeNewFile(path, bytes, 0o600).catch((error: unknown) => {
    if (!hasCode(error, 'already_exists')) throw error
    throw new SteleError('already_exists', `${path}: there is a head file already`, { cause: error.cause })
  })
  await syncFolder(dirname(path))
}

async function readSlots(file: FileHandle, path: string): Promise<HeadFile> {
  const bytes = await file.readFile().catch((error: unknown) => {
    throw fileError(path, error)
  })
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new SteleError('foreign_format', `${path}: expected "stele head file 1" at its start`)
  }
  const areas = [0, 1].map((n) =>
    bytes.subarray(FIRST_SLOT + n * SLOT_BYTES, FIRST_SLOT + (n + 1) * SLOT_BYTES),
  )
  const slots = areas.map(decodeSlot).filter((slot) => slot !== undefined)
  slots.sort((a, b) => b.sequence - a.sequence)
  const newest = slots[0]
  if (!newest) {
    throw new SteleError('corrupt', `${path}: neither of the two copies of the last signed head is whole`)
  }
  const intact = areas.every((area) => decodeSlot(area) !== undefined || area.every((byte) => byte === 0))
  return new SlotFile(
    file,
    path,
    newest.sequence,
    slots.map((slot) => slot.record),
    intact,
  )
}

class SlotFile implements HeadFile {
  readonly records: readonly Uint8Array[]
  readonly intact: boolean
  readonly #file: FileHandle
  readonly #path: string
  /** Number of the last write; its parity says which slot holds it. */
  #sequence: number

  constructor(file: FileHandle, path: string, sequence: number, records: Uint8Array[], intact: boolean) {
    this.#file = file
    this.#path = path
    this.#sequence = sequence
    this.records = records
    this.intact = intact
  }

  async write(record: Uint8Array): Promise<void> {
    const sequence = this.#sequence + 1
    const slot = encodeSlot({ sequence, record })
    try {
      await this.#file.write(slot, 0, slot.length, FIRST_SLOT + (sequence % 2) * SLOT_BYTES)
      await this.#file.datasync()
    } catch (error) {
      throw fileError(this.#path, error)
    }
    this.#sequence = sequence
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

function encodeSlot({ sequence, record }: Slot): Buffer {
  if (record.length > SLOT_BYTES - HEADER_BYTES) {
    throw new SteleError('too_large', `head file: a head of ${record.length} bytes does not fit its slot`)
  }
  const slot = Buffer.alloc(HEADER_BYTES + record.length)
  slot.writeBigUInt64BE(BigInt(sequence), 0)
  slot.writeUInt32BE(record.length, 8)
  slot.set(record, HEADER_BYTES)
  slot.set(digest(slot), 12)
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
