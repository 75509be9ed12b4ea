import { join } from 'node:path'
import { toHex } from '../bytes/hex.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { getUint64, putUint64 } from '../bytes/integer.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { VerifierKey } from '../note/note.ts'
import { createHeadFile, openHeadFile } from '../storage/head-file.ts'
import type { HeadFile } from '../storage/head-file.ts'
import { tableName } from '../storage/level-files.ts'
import { levelError, openLevel, type LevelDatabase, type OpenedLevel } from '../storage/level-open.ts'
import type { LevelTables } from '../storage/level-tables.ts'
import { openHead } from './head.ts'
import type { CosignedHead } from './head.ts'
import { originHash } from './logs.ts'
import { HeadStore } from './store.ts'
import type { HeadDisk, WitnessStore } from './store.ts'

/*
 * The database holds two kinds of keys:
 *
 *   'h' SHA-256(origin)   the note that was cosigned last for that origin
 *   'n'                   how many batches were written, uint64
 *
 * The number is written a second time, to a head file, after each batch and before anything of it is answered. LevelDB
 * alone cannot tell that it was rolled back: a cut write-ahead log, or yesterday's copy of the folder, opens without an
 * error, and a witness that forgot what it signed can be led to sign another history.
 */
const HEAD = Uint8Array.of(0x68)
const COUNT = Uint8Array.of(0x6e)

/** Where a witness keeps its state. */
export interface StatePaths {
  /** LevelDB's own folder. */
  readonly database: string
  /** The second place of the number of batches. */
  readonly headFile: string
}

/** Makes the state of a witness that has signed nothing. @throws SteleError `io_error`, `already_exists` */
export async function createWitnessState({ database, headFile }: StatePaths): Promise<void> {
  const { db } = await openLevel(database, { create: true })
  try {
    await db.put(COUNT, numberBytes(0), { sync: true })
  } finally {
    await db.close()
  }
  await createHeadFile(headFile, numberBytes(0))
}

/**
 * Opens the state of a witness. Every head is read, and trusted only if the witness's own signature on it verifies.
 *
 * @param own the public keys of the witness
 * @throws SteleError `locked` while another process has it open; `not_initialised`, `foreign_format`, `corrupt`,
 *   `wrong_key`, `rolled_back`, `head_missing`, `io_error`: nothing may be signed on such a state
 */
export async function openWitnessState(
  paths: StatePaths,
  own: readonly VerifierKey[],
): Promise<WitnessStore> {
  const { db, tables } = await openDatabase(paths.database)
  let headFile: HeadFile | undefined
  try {
    await checkTables(tables, paths.database)
    const count = await readCount(db)
    headFile = await openSecondPlace(paths.headFile)
    checkNotRolledBack(count, getUint64(headFile.records[0]!, 0, paths.headFile), paths)
    return new HeadStore(await readHeads(db, own), new LevelDisk(db, headFile, count))
  } catch (error) {
    await headFile?.close()
    await db.close()
    throw levelError(paths.database, error)
  }
}

/**
 * Writes heads. Heads that arrive while a batch is being written share the next one. Owner of the number of batches.
 */
class LevelDisk implements HeadDisk {
  readonly #db: LevelDatabase
  readonly #headFile: HeadFile
  #count: number
  #waiting: { readonly key: Uint8Array; readonly value: Uint8Array }[] = []
  #last: Promise<void> = Promise.resolve()
  /** The next batch, which has not begun. New writes join it. */
  #next: Promise<void> | undefined

  constructor(db: LevelDatabase, headFile: HeadFile, count: number) {
    this.#db = db
    this.#headFile = headFile
    this.#count = count
  }

  write(hash: string, { note }: CosignedHead): Promise<void> {
    this.#waiting.push({ key: headKey(hash), value: encodeUtf8(note) })
    if (!this.#next) {
      // A failed batch fails all later ones. A disk that failed to sync once may report success later, and LevelDB
      // reads its log only up to the first hole.
      this.#next = this.#last.then(() => this.#writeBatch())
      this.#last = this.#next
    }
    return this.#next
  }

  async close(): Promise<void> {
    await this.#last.catch(() => {})
    await this.#headFile.close()
    await this.#db.close()
  }

  async #writeBatch(): Promise<void> {
    const heads = this.#waiting
    this.#waiting = []
    this.#next = undefined
    const count = this.#count + 1
    const batch = this.#db.batch()
    for (const { key, value } of heads) batch.put(key, value)
    batch.put(COUNT, numberBytes(count))
    await batch.write({ sync: true })
    // In this order: after a crash between the two, a number ahead of its batch would be a false alarm.
    await this.#headFile.write(numberBytes(count))
    this.#count = count
  }
}

/** All of it is read right after this, and it is small. */
async function checkTables(tables: LevelTables, folder: string): Promise<void> {
  await tables.checkAll(async () => {})
  const [fault] = tables.faults
  if (!fault) return
  const { table, what, offset } = fault
  const path = join(folder, tableName(table.number))
  throw new SteleError('corrupt', `${path}: ${what} block at byte ${offset}: its checksum does not match`)
}

async function openDatabase(folder: string): Promise<OpenedLevel> {
  try {
    return await openLevel(folder)
  } catch (cause) {
    if (!hasCode(cause, 'locked')) throw cause
    throw new SteleError('locked', `${folder}: another process has this witness open; stop it first`, {
      cause,
    })
  }
}

async function readCount(db: LevelDatabase): Promise<number> {
  const bytes = await db.get(COUNT)
  if (bytes?.length === 8) return getUint64(bytes, 0, 'number of batches')
  throw new SteleError('foreign_format', `${db.location}: expected a witness's database, found another`)
}

async function readHeads(db: LevelDatabase, own: readonly VerifierKey[]): Promise<Map<string, CosignedHead>> {
  const heads = new Map<string, CosignedHead>()
  for await (const [key, value] of db.iterator()) {
    if (key.length === 1 && key[0] === COUNT[0]) continue
    const where = `${db.location}, key ${toHex(new Uint8Array(key))}`
    const head = openHead(textOf(value, where), own, where)
    const hash = originHash(head.checkpoint.origin)
    if (toHex(new Uint8Array(key)) !== toHex(headKey(hash))) {
      throw new SteleError('corrupt', `${where}: expected the head of that origin, found one of another`)
    }
    heads.set(hash, head)
  }
  return heads
}

function checkNotRolledBack(count: number, promised: number, { database, headFile }: StatePaths): void {
  if (count >= promised) return
  throw new SteleError(
    'rolled_back',
    `${database}: expected batch ${promised}, which ${headFile} says was written, found batch ${count}: the database ` +
      'is older than what this witness has signed since. Put the right one back; if it is lost for good, this witness ' +
      'must not sign any more: make another one, with a new name',
  )
}

async function openSecondPlace(path: string): Promise<HeadFile> {
  try {
    return await openHeadFile(path)
  } catch (error) {
    if (!hasCode(error, 'head_missing')) throw error
    // The original message is about logs, which have another remedy.
    throw new SteleError(
      'head_missing',
      `${path}: it is not there. Without it the server cannot tell whether the database was rolled back, so nothing is ` +
        'signed. Put the file back; if it is lost for good, make another witness, with a new name',
      { cause: error },
    )
  }
}

function textOf(value: Uint8Array, where: string): string {
  try {
    return decodeUtf8(value, where)
  } catch (cause) {
    throw new SteleError('corrupt', `${where}: expected a note, found no text`, { cause })
  }
}

function headKey(hash: string): Uint8Array {
  return concatBytes(HEAD, Uint8Array.from(Buffer.from(hash, 'hex')))
}

function numberBytes(n: number): Uint8Array {
  const bytes = new Uint8Array(8)
  putUint64(bytes, 0, n)
  return bytes
}
