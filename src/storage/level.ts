import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Level } from 'level'
import { hasCode, SteleError, invariant } from '../errors.ts'
import { levelError, openLevel } from './level-open.ts'
import { setAside } from './set-aside.ts'
import {
  checkRepair,
  checkStep,
  type Commit,
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
 * n sorts before entry n, so the newest key of a store is always a head: whatever else stands there is damage.
 */
const KEY_BYTES = 9
const HEAD = 0
const ENTRY = 1
const FIRST_TILE = 2

/** Entries of one call of LevelDB: a bundle. */
const READ_STEP = 256
/** Where bytes are bounded, the first call asks for so few: 1 MiB at most. */
const FIRST_STEP = 16
/** The next asks for as many as will fit if they are like those before, and for no more than so many times as many. */
const STEP_GROWTH = 4

/** For reads that come once and shall not push out what others read again. */
const PAST_CACHE = { fillCache: false }

/** Two of LevelDB's write buffers of 4 MiB: more is never in its write-ahead logs alone. */
const TAIL_BYTES = 8 * 1024 * 1024

/** A log in LevelDB. One process at a time; a second one gets `locked`. */
export class LevelStore implements LogStore {
  readonly #db: Level<Uint8Array, Uint8Array>
  /** The committed size, -1 before the first commit. Moved by `commit` alone. */
  #size: number
  #committing = false
  #failure: SteleError | undefined

  private constructor(db: Level<Uint8Array, Uint8Array>, size: number) {
    this.#db = db
    this.#size = size
  }

  /**
   * What LevelDB may drop is set aside first (`set-aside.ts`): whoever has verified the store says `removeSetsAside`.
   *
   * @param folder LevelDB's own folder
   * @param create true only when a log is being made: serving never creates anything
   * @param withGaps true only to repair it: entries may be missing near its end
   * @throws SteleError `locked`, `not_initialised`, `corrupt`, `io_error`
   */
  static async open(
    folder: string,
    { create = false, withGaps = false }: { create?: boolean; withGaps?: boolean } = {},
  ): Promise<LevelStore> {
    const kept = create || !existsSync(join(folder, 'CURRENT')) ? undefined : await setAside(folder)
    const db = await openLevel(folder, create).catch(async (error: unknown) => {
      // Another process has it open, and has kept what was there before it opened it.
      if (kept !== undefined && hasCode(error, 'locked')) await rm(kept, { recursive: true, force: true })
      throw error
    })
    try {
      const head = await newestHead(db, folder)
      if (head && !withGaps) await checkTail(db, head.size)
      return new LevelStore(db, head?.size ?? -1)
    } catch (error) {
      await db.close()
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

  /** LevelDB refuses every later write after a failed one, and nobody knows what this one left behind. */
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
   * Writes a stretch of a log that is being restored, synced, under no head: until one is committed on top of it this
   * is nobody's log, and opening it is refused. For a store that was just created.
   *
   * @throws SteleError `stale_size` unless the stretch begins where the one before it ended; `io_error`
   */
  async load({ from, entries, tiles }: Omit<Commit, 'head'>): Promise<void> {
    if (from !== Math.max(this.#size, 0)) {
      throw new SteleError('stale_size', `load: begins at ${from}, the store ends at ${this.#size}`)
    }
    await this.#reading(this.#write({ from, entries, tiles }))
    this.#size = from + entries.length
  }

  /** The chained form of a batch is measured at four times the array form. */
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
    let step = maxBytes === Number.POSITIVE_INFINITY ? READ_STEP : FIRST_STEP
    for (let at = begin; at < end && bytes <= maxBytes; at = begin + entries.length) {
      const keys = Array.from({ length: Math.min(step, end - at) }, (_, i) => keyOf(at + i, ENTRY))
      for (const value of await this.#db.getMany(keys)) {
        if (!value) throw missingEntry(begin + entries.length, this.#db.location)
        bytes += value.length
        if (entries.length > 0 && bytes > maxBytes) return entries
        entries.push(value)
      }
      const fitting = Math.ceil(((maxBytes - bytes) * entries.length) / Math.max(1, bytes))
      step = Math.max(1, Math.min(READ_STEP, step * STEP_GROWTH, fitting))
    }
    return entries
  }

  readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]> {
    const keys = tiles.map((tile) => keyOf(lastLeaf(tile), FIRST_TILE + tile.level))
    return this.#reading(this.#db.getMany(keys))
  }

  async inspect(places: readonly StoredId[]): Promise<Inspected[]> {
    const keys = places.map(keyOfPlace)
    try {
      return await this.#reading(this.#db.getMany(keys, PAST_CACHE))
    } catch (error) {
      if (!hasCode(error, 'corrupt')) throw error
      // One block that LevelDB cannot read fails the whole call.
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

async function newestHead(
  db: Level<Uint8Array, Uint8Array>,
  location: string,
): Promise<StoredHead | undefined> {
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

/**
 * Walks back over all that LevelDB may have held only in its write-ahead log when it was stopped. Damage there
 * makes it drop whole batches without a word, also from the middle; then a key is missing between two others.
 */
async function checkTail(db: Level<Uint8Array, Uint8Array>, size: number): Promise<void> {
  let next = size
  let bytes = 0
  for await (const [key, value] of db.iterator({ reverse: true })) {
    const position = positionOf(key)
    const kind = key[KEY_BYTES - 1]!
    if (kind === ENTRY) {
      if (position !== next - 1) throw missingEntry(next - 1, db.location)
      next = position
    }
    bytes += key.length + value.length
    if (bytes > TAIL_BYTES) return
  }
  if (next > 0) throw missingEntry(next - 1, db.location)
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

function positionOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, KEY_BYTES)
  return view.getUint32(0) * 2 ** 32 + view.getUint32(4)
}

function missingEntry(index: number, location: string): SteleError {
  return new SteleError('corrupt', `${location}: entry ${index} should be stored and is not there`)
}
