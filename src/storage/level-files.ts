import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../errors.ts'
import { fileError, readTextFile } from './files.ts'
import { readLevelLog, type LevelRecord, type TornTail } from './level-log.ts'

/** A table file as listed in the MANIFEST. */
export interface TableMeta {
  readonly number: number
  readonly level: number
  readonly bytes: number
  /** The first and the last key in it. */
  readonly smallest: Uint8Array
  readonly largest: Uint8Array
}

/** The files of a LevelDB folder. */
export interface LevelFiles {
  /** File name of the current MANIFEST. */
  readonly manifest: string
  readonly tables: readonly TableMeta[]
  /**
   * Write-ahead logs with lower numbers have been moved to tables; 0 in a database that was never opened after
   * creation.
   */
  readonly firstLog: number
  /** Number of the last write that the MANIFEST records. */
  readonly lastWrite: number
}

/** The files of a database after a check of everything that LevelDB replays. */
export interface CheckedLevelFiles extends LevelFiles {
  /** Paths of the write-ahead logs to replay, in order. */
  readonly logs: readonly string[]
  /** Number of the last write in them; undefined where they hold none. */
  readonly lastLogged: number | undefined
  /** The incomplete last write that a crash left. */
  readonly torn: (TornTail & { readonly path: string }) | undefined
}

/** LevelDB appends sequence number and type to each key in its files. */
export const KEY_TRAILER_BYTES = 8
/** Sequence number and count at the start of a batch of writes. */
const BATCH_HEADER_BYTES = 12

/** Name of a table file. */
export function tableName(number: number): string {
  return `${String(number).padStart(6, '0')}.ldb`
}

/**
 * Reads from CURRENT and the MANIFEST which files a database consists of.
 *
 * @throws SteleError `corrupt` by file and offset, `io_error`
 */
export async function readLevelFiles(folder: string): Promise<LevelFiles> {
  const current = (await readTextFile(join(folder, 'CURRENT'))) ?? ''
  const manifest = /^(MANIFEST-\d+)\n$/.exec(current)?.[1]
  if (manifest === undefined) {
    throw new SteleError('corrupt', `${join(folder, 'CURRENT')}: expected the name of a MANIFEST and LF`)
  }
  const path = join(folder, manifest)
  const versions = new VersionEdits(path)
  await readLevelLog(path, Number.POSITIVE_INFINITY, (record) => versions.apply(record)).catch(missing)
  return { manifest, ...versions.result() }
}

/**
 * Checks everything that LevelDB replays when it opens a database, before it does: CURRENT, the MANIFEST, the presence
 * of all table files and write-ahead logs, and every record of the write-ahead logs. The newest write-ahead log that is
 * not empty may have a torn tail, whose record was never synced. Changes nothing.
 *
 * @throws SteleError `corrupt` by file and offset, `io_error`
 */
export async function checkLevelFiles(folder: string): Promise<CheckedLevelFiles> {
  for (let last = ''; ;) {
    try {
      return await checkOnce(folder)
    } catch (error) {
      // A process that has the database open may replace its files during this check. Damage persists; such a race does
      // not.
      if (!(error instanceof SteleError) || error.message === last) throw error
      last = error.message
    }
  }
}

async function checkOnce(folder: string): Promise<CheckedLevelFiles> {
  const files = await readLevelFiles(folder)
  const names = new Set(
    await readdir(folder).catch((error: unknown) => {
      throw fileError(folder, error)
    }),
  )
  for (const { number } of files.tables) {
    if (!names.has(tableName(number))) throw notThere(join(folder, tableName(number)))
  }
  return { ...files, ...(await checkWriteAheadLogs(folder, names, files.firstLog)) }
}

async function checkWriteAheadLogs(
  folder: string,
  names: ReadonlySet<string>,
  first: number,
): Promise<Pick<CheckedLevelFiles, 'logs' | 'lastLogged' | 'torn'>> {
  const numberOf = (name: string): number => Number.parseInt(name, 10)
  const live = [...names]
    .filter((name) => /^\d+\.log$/.test(name) && numberOf(name) >= first)
    .sort((a, b) => numberOf(a) - numberOf(b))
  if (first > 0 && (live[0] === undefined || numberOf(live[0]) !== first)) {
    throw notThere(join(folder, `${String(first).padStart(6, '0')}.log`))
  }
  const logs = live.map((name) => join(folder, name))
  const batches = new BatchOrder()
  let torn: CheckedLevelFiles['torn']
  for (const path of logs) {
    const tail = await readLevelLog(path, BATCH_HEADER_BYTES, (record) => {
      // A write that is followed by others was complete.
      if (torn) throw damaged(torn.path, torn.offset, `${torn.why}, and ${path} goes on`)
      batches.next(path, record)
    }).catch(missing)
    if (tail) torn ??= { ...tail, path }
  }
  return { logs, lastLogged: batches.last, torn }
}

/**
 * Reads the write-ahead logs of a checked database again.
 *
 * @param onKey called with every key that is written there, in order
 * @throws SteleError `corrupt`, `io_error`
 */
export async function readWrittenKeys(
  { logs }: CheckedLevelFiles,
  onKey: (key: Uint8Array) => void,
): Promise<void> {
  for (const path of logs) {
    await readLevelLog(path, Number.POSITIVE_INFINITY, (record) => {
      for (const { key } of operationsOf(path, record)) onKey(key)
    })
  }
}

/** One write of a batch. */
export type Operation =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

/** The writes of a batch, in order (db/write_batch.cc in LevelDB's source). @throws SteleError `corrupt` */
export function operationsOf(path: string, { offset, bytes }: LevelRecord): Operation[] {
  const fields = new Fields(bytes.subarray(BATCH_HEADER_BYTES), (what) =>
    damaged(path, offset, `expected ${what}`),
  )
  const operations: Operation[] = []
  while (!fields.atEnd) {
    const isPut = fields.number('a type') === 1
    const key = fields.slice('a key')
    operations.push(isPut ? { type: 'put', key, value: fields.slice('a value') } : { type: 'del', key })
  }
  return operations
}

/** Checks that every batch of writes continues where the one before it ended, also from one file to the next. */
class BatchOrder {
  #next: bigint | undefined

  get last(): number | undefined {
    return this.#next === undefined ? undefined : Number(this.#next - 1n)
  }

  next(path: string, { offset, length, bytes }: LevelRecord): void {
    if (length < BATCH_HEADER_BYTES) throw damaged(path, offset, `a record of ${length} bytes is no batch`)
    const view = new DataView(bytes.buffer, bytes.byteOffset, BATCH_HEADER_BYTES)
    const sequence = view.getBigUint64(0, true)
    if (this.#next !== undefined && sequence !== this.#next) {
      throw damaged(path, offset, `expected the write with number ${this.#next}, found ${sequence}`)
    }
    this.#next = sequence + BigInt(view.getUint32(8, true))
  }
}

/** The accumulated records of a MANIFEST (db/version_edit.cc in LevelDB's source). */
class VersionEdits {
  readonly #path: string
  readonly #tables = new Map<string, TableMeta>()
  readonly #numbers = new Map<number, number>()

  constructor(path: string) {
    this.#path = path
  }

  apply({ offset, bytes }: LevelRecord): void {
    const fields = new Fields(bytes, (what) => damaged(this.#path, offset, `expected ${what}`))
    const added: TableMeta[] = []
    while (!fields.atEnd) {
      const tag = fields.number('a tag')
      if (tag === COMPARATOR) fields.slice('a comparator')
      else if (NUMBERS.has(tag)) this.#numbers.set(tag, fields.number('a number'))
      else if (tag === COMPACT_POINTER) fields.levelAndKey()
      else if (tag === DELETED_FILE)
        this.#tables.delete(`${fields.number('a level')}/${fields.number('a file')}`)
      else if (tag === NEW_FILE) added.push(fields.table())
      else throw damaged(this.#path, offset, `there is no tag ${tag}`)
    }
    for (const table of added) this.#tables.set(`${table.level}/${table.number}`, table)
  }

  result(): Pick<LevelFiles, 'tables' | 'firstLog' | 'lastWrite'> {
    for (const tag of REQUIRED) {
      if (!this.#numbers.has(tag)) throw damaged(this.#path, 0, `it lacks a number that each MANIFEST has`)
    }
    return {
      tables: [...this.#tables.values()],
      firstLog: this.#numbers.get(LOG_NUMBER)!,
      lastWrite: this.#numbers.get(LAST_SEQUENCE)!,
    }
  }
}

/** Tags of the fields of a MANIFEST's record. */
const COMPARATOR = 1
const LOG_NUMBER = 2
const NEXT_FILE_NUMBER = 3
const LAST_SEQUENCE = 4
const COMPACT_POINTER = 5
const DELETED_FILE = 6
const NEW_FILE = 7
const PREV_LOG_NUMBER = 9
const REQUIRED = [LOG_NUMBER, NEXT_FILE_NUMBER, LAST_SEQUENCE]
const NUMBERS = new Set([...REQUIRED, PREV_LOG_NUMBER])

/** Reads values in LevelDB's encodings, one after the other. */
export class Fields {
  readonly #bytes: Uint8Array
  readonly #fail: (expected: string) => SteleError
  #at = 0

  /** @param fail makes the error for a missing value */
  constructor(bytes: Uint8Array, fail: (expected: string) => SteleError) {
    this.#bytes = bytes
    this.#fail = fail
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** A varint. */
  number(what: string): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw this.#fail(what)
      value += (byte & 127) * scale
      if (!Number.isSafeInteger(value)) throw this.#fail(what)
      if (byte < 128) return value
    }
  }

  /** Bytes with a length prefix. */
  slice(what: string): Uint8Array {
    return this.bytes(this.number(what), what)
  }

  bytes(count: number, what: string): Uint8Array {
    const begin = this.#at
    this.#at += count
    if (this.#at > this.#bytes.length) throw this.#fail(what)
    return this.#bytes.subarray(begin, this.#at)
  }

  /** One of our keys, in the form of LevelDB's files. */
  key(): Uint8Array {
    const key = this.slice('a key')
    if (key.length < KEY_TRAILER_BYTES) throw this.#fail('a key')
    return key.subarray(0, key.length - KEY_TRAILER_BYTES)
  }

  levelAndKey(): void {
    this.number('a level')
    this.key()
  }

  table(): TableMeta {
    const level = this.number('a level')
    const number = this.number('a file')
    const bytes = this.number('a size')
    return { level, number, bytes, smallest: this.key(), largest: this.key() }
  }
}

function damaged(path: string, offset: number, why: string): SteleError {
  return new SteleError('corrupt', `${path}: damaged at byte ${offset}: ${why}`)
}

function notThere(path: string): SteleError {
  return new SteleError('corrupt', `${path}: the database needs this file, and it is not there`)
}

/** A listed file that is missing is damage, or another process has removed it meanwhile. */
function missing(error: unknown): never {
  if (error instanceof SteleError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') {
    throw notThere((error.cause as NodeJS.ErrnoException).path ?? error.message)
  }
  throw error
}
