import { hasCode, SteleError, invariant } from '../errors.ts'
import { readWrittenKeys, tableName, type CheckedLevelFiles } from './level-files.ts'
import { keepCopy, levelError, openLevel, type LevelDatabase, type OpenedLevel } from './level-open.ts'
import type { TableFault } from './level-table.ts'
import { firstKey, type LevelTables } from './level-tables.ts'
import {
  checkRepair,
  checkStep,
  DamagedFileError,
  type CheckedFiles,
  type Commit,
  type FileFault,
  type FullTileId,
  type Inspected,
  type LogStore,
  type Repair,
  type StoredHead,
  type StoredId,
} from './store.ts'

/**
 * Keys are 9 bytes: a position, big-endian because LevelDB sorts keys as bytes, then a kind. Everything that one
 * commit writes sorts behind everything that came before it:
 *
 *   (n, 0)        the head of size n
 *   (i, 1)        the entry with index i
 *   (i, 2 + L)    the tile of level L whose last leaf is i
 *
 * so the table files that LevelDB writes never overlap, and it moves them down its levels without merging. Head
 * n sorts before entry n, so the newest key of a store is always a head: any other key there is damage.
 */
const KEY_BYTES = 9
const HEAD = 0
const ENTRY = 1
const FIRST_TILE = 2

/**
 * Concurrent reads of one log. On a disk that hangs each blocks a thread of the pool; `cli/bin.cts` sizes the pool for
 * it.
 */
const MAX_READS = 4

/** Entries of one call of LevelDB: a bundle. */
const READ_STEP = 256
/** Entries of the first call when bytes are limited and no entry size is known yet: 1 MiB at most. */
const FIRST_STEP = 16
/**
 * The next call asks for as many entries as should fit, judging by those before, and for at most this many times as
 * many.
 */
const STEP_GROWTH = 4

/** For one-time reads that must not evict blocks that others use. */
const PAST_CACHE = { fillCache: false }

/** Options for opening a store. */
export interface LevelStoreOptions {
  /** Makes a new one, and refuses one that is there. Default: false. */
  readonly create?: boolean
  /** Opens one whose write-ahead log is damaged, too, of which LevelDB drops what it cannot read. A copy is kept. Default: false. */
  readonly salvage?: boolean
  /** Entries that were promised to be in it: a tail of its write-ahead log that holds one of them is not dropped. Default: 0. */
  readonly acknowledged?: number
}

/** A log in LevelDB, for one process at a time; a second one gets `locked`. */
export class LevelStore implements LogStore {
  readonly #db: LevelDatabase
  readonly #tables: LevelTables
  /** The committed size, -1 before the first commit. Changed only by `commit`. */
  #size: number
  #committing = false
  #reads = 0
  /** Bytes of the largest entry read so far. */
  #largestRead = 0
  /** Reads that wait for one in progress to end. */
  readonly #waitingReads: (() => void)[] = []
  #failure: SteleError | undefined

  private constructor({ db, tables }: OpenedLevel, size: number) {
    this.#db = db
    this.#tables = tables
    this.#size = size
  }

  /**
   * @param folder LevelDB's own folder
   * @param options.create true only when a log is being made: serving never creates anything
   * @param options.salvage true only to repair it: of a damaged write-ahead log LevelDB takes what it can read, and a copy
   *   is kept
   * @param options.acknowledged the size that was promised, as the head file has it: a write-ahead log that is cut off before
   *   it is left alone
   * @throws SteleError `locked`, `not_initialised`, `corrupt`, `rolled_back`, `io_error`
   */
  static async open(
    folder: string,
    { acknowledged = 0, ...options }: LevelStoreOptions = {},
  ): Promise<LevelStore> {
    const opened = await openLevel(folder, {
      ...options,
      mayDropTail: (files) => checkNothingPromised(files, acknowledged),
    })
    try {
      const fault = await opened.tables.checkNewest()
      if (fault) throw new DamagedFileError(inWords(fault))
      const head = await newestHead(opened.db, folder)
      return new LevelStore(opened, head?.size ?? -1)
    } catch (error) {
      await opened.db.close()
      throw levelError(folder, error)
    }
  }

  get failure(): SteleError | undefined {
    return this.#failure
  }

  readHead(): Promise<StoredHead | undefined> {
    return this.#reading(newestHead(this.#db, this.#db.location))
  }

  async commit(step: Commit): Promise<void> {
    if (this.#failure) throw this.#failure
    invariant(!this.#committing, 'two commits at once')
    checkStep(step, this.#size)
    this.#committing = true
    try {
      await this.#write(step)
    } catch (error) {
      throw this.#failed(error)
    } finally {
      this.#committing = false
    }
    this.#size = step.head.size
  }

  /** After a failed write LevelDB refuses all later ones, and it is unknown what the failed one left behind. */
  #failed(error: unknown): SteleError {
    const message = `writing to ${this.#db.location} failed: ${(error as Error).message}`
    this.#failure = new SteleError('outcome_unknown', message, { cause: error })
    return this.#failure
  }

  async repair(repair: Repair): Promise<void> {
    if (this.#failure) throw this.#failure
    checkRepair(repair, this.#size)
    const batch = this.#db.batch()
    for (const { index, entry } of repair.entries) batch.put(keyOf(index, ENTRY), entry)
    for (const tile of repair.tiles) batch.put(keyOf(lastLeaf(tile), FIRST_TILE + tile.level), tile.hashes)
    try {
      await batch.write({ sync: true })
    } catch (error) {
      throw this.#failed(error)
    }
  }

  /**
   * Writes a range of a log that is being restored, synced, without a head. Until a head is committed on top of it,
   * opening the store is refused. For a store that was just created.
   *
   * @throws SteleError `stale_size` unless the range begins where the one before it ended; `io_error`
   */
  async load({ from, entries, tiles }: Omit<Commit, 'head'>): Promise<void> {
    if (from !== Math.max(this.#size, 0)) {
      throw new SteleError('stale_size', `load: begins at ${from}, the store ends at ${this.#size}`)
    }
    await this.#reading(this.#write({ from, entries, tiles }))
    this.#size = from + entries.length
  }

  /** Uses the chained form of a batch, which was measured at four times the speed of the array form. */
  async #write({ from, entries, tiles, head }: Omit<Commit, 'head'> & Partial<Commit>): Promise<void> {
    const batch = this.#db.batch()
    const keys = Buffer.allocUnsafe((entries.length + tiles.length + 1) * KEY_BYTES)
    let at = 0
    const key = (position: number, kind: number): Uint8Array =>
      writeKey(keys, KEY_BYTES * at++, position, kind)
    entries.forEach((entry, i) => batch.put(key(from + i, ENTRY), entry))
    for (const tile of tiles) {
      batch.put(key(lastLeaf(tile), FIRST_TILE + tile.level), tile.hashes)
    }
    if (head) batch.put(key(head.size, HEAD), head.record)
    await batch.write({ sync: true })
  }

  readEntries(begin: number, end: number, maxBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array[]> {
    return this.#reading(this.#range(begin, end, maxBytes))
  }

  /**
   * By keys and not by an iterator: LevelDB's iterator hands over its values in a way that left 340 MB behind after
   * 4,000 bundles, where this left 66 MB in the same time.
   */
  async #range(begin: number, end: number, maxBytes: number): Promise<Uint8Array[]> {
    const entries: Uint8Array[] = []
    let bytes = 0
    let step = this.#firstStep(maxBytes)
    for (let at = begin; at < end && bytes <= maxBytes; at = begin + entries.length) {
      const keys = Array.from({ length: Math.min(step, end - at) }, (_, i) => keyOf(at + i, ENTRY))
      for (const value of await this.#getMany(keys)) {
        if (!value) throw missingEntry(begin + entries.length, this.#db.location)
        bytes += value.length
        this.#largestRead = Math.max(this.#largestRead, value.length)
        if (entries.length > 0 && bytes > maxBytes) return entries
        entries.push(value)
      }
      const fitting = Math.ceil(((maxBytes - bytes) * entries.length) / Math.max(1, bytes))
      step = Math.max(1, Math.min(READ_STEP, step * STEP_GROWTH, fitting))
    }
    return entries
  }

  /**
   * In most logs all entries are small: a call asks for as many as fit if each is as large as the largest one read so
   * far.
   */
  #firstStep(maxBytes: number): number {
    if (maxBytes === Number.POSITIVE_INFINITY) return READ_STEP
    if (this.#largestRead === 0) return FIRST_STEP
    return Math.max(1, Math.min(READ_STEP, Math.floor(maxBytes / this.#largestRead)))
  }

  readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]> {
    const keys = tiles.map((tile) => keyOf(lastLeaf(tile), FIRST_TILE + tile.level))
    return this.#reading(this.#getMany(keys))
  }

  /** @throws SteleError `corrupt` for the first one in a damaged part of a file */
  async #getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    if (this.#reads < MAX_READS) this.#reads++
    else await new Promise<void>((resolve) => this.#waitingReads.push(resolve))
    try {
      // Once all files have been checked, this takes no turn of the event loop.
      const checking = this.#tables.check(keys)
      const fault = checking && (await checking).find((found) => found !== undefined)
      if (fault) throw new DamagedFileError(inWords(fault))
      return await this.#db.getMany(keys)
    } finally {
      const next = this.#waitingReads.shift()
      if (next) next()
      else this.#reads--
    }
  }

  async inspect(places: readonly StoredId[]): Promise<Inspected[]> {
    const keys = places.map(keyOfPlace)
    const faults = await this.#tables.check(keys)
    const readable = faults ? keys.filter((_, i) => !faults[i]) : keys
    const found = await this.#inspectReadable(readable)
    if (!faults) return found
    let next = 0
    return faults.map((fault) => (fault ? new DamagedFileError(inWords(fault)) : found[next++]))
  }

  async #inspectReadable(keys: Uint8Array[]): Promise<Inspected[]> {
    try {
      return await this.#reading(this.#db.getMany(keys, PAST_CACHE))
    } catch (error) {
      if (!hasCode(error, 'corrupt')) throw error
      // One unreadable block fails the whole call, so each key is read by itself.
      return Promise.all(keys.map((key) => this.#inspectOne(key)))
    }
  }

  async #inspectOne(key: Uint8Array): Promise<Inspected> {
    try {
      return await this.#reading(this.#db.get(key, PAST_CACHE))
    } catch (error) {
      if (hasCode(error, 'corrupt')) return error
      throw error
    }
  }

  async checkFiles(begin: number, end: number, between: () => Promise<void>): Promise<CheckedFiles> {
    // LevelDB may have written new files since the last listing.
    if (begin === 0) await this.#tables.refresh()
    const bytesRead = await this.#tables.checkFiles(keyOf(begin, HEAD), keyOf(end, HEAD), between)
    const faults = this.#tables.faults.map(inWords)
    return { bytesRead, faults: faults.filter((fault) => begin <= fault.begin && fault.begin < end) }
  }

  /**
   * Reads all files and compares them with their checksums.
   *
   * @returns what is damaged, in the order of the positions
   * @throws SteleError `io_error`
   */
  async checkAllFiles(onFile: (checked: number, of: number) => Promise<void>): Promise<FileFault[]> {
    await this.#tables.checkAll(onFile)
    return this.#tables.faults.map(inWords)
  }

  /**
   * Empties damaged blocks, so that LevelDB can go on and the missing content can be restored. Only for a store of
   * which all files were checked.
   *
   * @returns paths of the copies made of the files before the change
   * @throws SteleError `io_error`
   */
  async clearFaults(): Promise<string[]> {
    const copies: string[] = []
    for (const file of this.#tables.damaged) {
      copies.push(await keepCopy(file.path))
      await file.clearFaults()
    }
    return copies
  }

  async #reading<T>(read: Promise<T>): Promise<T> {
    try {
      return await read
    } catch (error) {
      throw levelError(this.#db.location, error)
    }
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

/** A write that a crash cut off was never acknowledged, unless the file was truncated later. */
async function checkNothingPromised(files: CheckedLevelFiles, acknowledged: number): Promise<void> {
  let size = -1
  const onKey = (key: Uint8Array): void => {
    if (key.length === KEY_BYTES && key[KEY_BYTES - 1] === HEAD) size = Math.max(size, positionOf(key))
  }
  for (const { largest } of files.tables) onKey(largest)
  await readWrittenKeys(files, onKey)
  if (size >= acknowledged) return
  const { path, offset, why } = files.torn!
  const promise = Number.isFinite(acknowledged)
    ? `a head of size ${acknowledged} was signed and kept beside the database, so this is not what a crash leaves of a ` +
      `write that was not acknowledged`
    : `the head file, which says what was acknowledged, cannot be read`
  throw new SteleError(
    'rolled_back',
    `${path}: the record at byte ${offset} is cut off (${why}). Without it the database ends at size ${size}, but ` +
      `${promise}. Nothing was changed`,
  )
}

async function newestHead(db: LevelDatabase, location: string): Promise<StoredHead | undefined> {
  for await (const [key, record] of db.iterator({ reverse: true, limit: 1 })) {
    if (key.length !== KEY_BYTES || key[KEY_BYTES - 1] !== HEAD) {
      throw new SteleError(
        'corrupt',
        `${location}: the newest record should be a signed head, found key ${Buffer.from(key).toString('hex')}: ` +
          `the end of the database is damaged`,
      )
    }
    return { size: positionOf(key), record }
  }
  return undefined
}

/** The index of the last leaf below a full tile. */
function lastLeaf({ level, index }: FullTileId): number {
  return (index + 1) * 256 ** (level + 1) - 1
}

function keyOfPlace(place: StoredId): Uint8Array {
  if (place.kind === 'entry') return keyOf(place.index, ENTRY)
  if (place.kind === 'head') return keyOf(place.size, HEAD)
  return keyOf(lastLeaf(place), FIRST_TILE + place.level)
}

function keyOf(position: number, kind: number): Uint8Array {
  return writeKey(Buffer.allocUnsafe(KEY_BYTES), 0, position, kind)
}

function writeKey(into: Buffer, offset: number, position: number, kind: number): Uint8Array {
  // Positions are safe integers, so the two halves are exact.
  into.writeUInt32BE(Math.floor(position / 2 ** 32), offset)
  into.writeUInt32BE(position % 2 ** 32, offset + 4)
  into[offset + 8] = kind
  return into.subarray(offset, offset + KEY_BYTES)
}

/** Keys that LevelDB generates as separators between ours may be shorter. */
function positionOf(key: Uint8Array): number {
  const whole = Buffer.alloc(KEY_BYTES)
  whole.set(key.subarray(0, KEY_BYTES))
  return whole.readUInt32BE(0) * 2 ** 32 + whole.readUInt32BE(4)
}

const BLOCKS = { data: 'block', index: 'index block', filter: 'filter block', footer: 'footer' } as const

function inWords(fault: TableFault): FileFault {
  const { after, last, table, what, offset } = fault
  // After an entry or a head comes the next position, or the tiles that end at this one.
  const behind = after?.length === KEY_BYTES && after[KEY_BYTES - 1]! >= ENTRY ? 1 : 0
  const end = positionOf(last) + 1
  const begin = Math.min(positionOf(firstKey(fault)) + behind, end - 1)
  const range = begin + 1 === end ? `position ${begin}` : `positions ${begin} to ${end - 1}`
  const place = `${tableName(table.number)}, ${BLOCKS[what]} at byte ${offset} (${range})`
  return {
    begin,
    end,
    place,
    message: `${place}: its checksum does not match; what is stored there is not read`,
  }
}

function missingEntry(index: number, location: string): SteleError {
  return new SteleError('corrupt', `${location}: entry ${index} should be stored and is not there`)
}
