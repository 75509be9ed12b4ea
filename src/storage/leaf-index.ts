import { rm } from 'node:fs/promises'
import { hasCode } from '../errors.ts'
import { levelError, openLevel, type LevelDatabase, type OpenedLevel } from './level-open.ts'
import { tableName } from './level-files.ts'
import type { LevelTables } from './level-tables.ts'

/**
 * From leaf hash to index. The index follows the log and is not authoritative: each result is a candidate that the
 * caller compares with the stored tile, because the index may be damaged or lag behind.
 */
export interface LeafIndex {
  /** Leaves with lower indexes are durably in the index. The opener of the index writes the others again. */
  readonly cursor: number
  /**
   * For each leaf hash of the slab (32 bytes each) the lowest index known for it, or undefined.
   *
   * @param options.fillCache false for look-ups that must not evict blocks that others use
   */
  lookup(leafHashes: Uint8Array, options?: { readonly fillCache?: boolean }): Promise<(number | undefined)[]>
  /** Adds leaves. The caller guarantees that none of them is in the index with a lower index. */
  write(leaves: readonly IndexedLeaf[]): Promise<void>
  /**
   * Reads files again and compares them with their checksums. Blocks found damaged are no longer read: look-ups find
   * nothing there.
   *
   * @param share of all keys, 0 to 1: the files that begin in it. Default: the files known to be damaged, or all files
   *   if none is
   * @param between awaited after each read of some hundred KiB
   * @throws SteleError `io_error`
   */
  checkFiles?(
    share: readonly [from: number, to: number] | undefined,
    between: () => Promise<void>,
  ): Promise<CheckedIndexFiles>
  /** Durably moves the cursor, together with all earlier writes. */
  moveCursor(cursor: number): Promise<void>
  close(): Promise<void>
}

/** The result of reading files of the index again. */
export interface CheckedIndexFiles {
  readonly bytesRead: number
  /** All damage that is known. */
  readonly faults: readonly { readonly place: string; readonly message: string }[]
}

/** A leaf hash, 32 bytes, and its place in the log. */
export interface IndexedLeaf {
  readonly hash: Uint8Array
  readonly index: number
}

/*
 * A key is the first 24 bytes of the leaf hash: the combined size of key and value determines the cost of random
 * writes. Finding two leaves that share 24 bytes costs 2^96 hashes, and would cost the log one missed duplicate.
 */
const KEY_BYTES = 24
const CURSOR_KEY = new TextEncoder().encode('cursor')

/** Hashes are incompressible, and trying costs time at each compaction. */
const INCOMPRESSIBLE = { compression: false }

/** The index in its own LevelDB folder: its random keys cause compactions, which the log's own database is spared. */
export class LevelLeafIndex implements LeafIndex {
  readonly #db: LevelDatabase
  readonly #tables: LevelTables
  #cursor: number

  private constructor({ db, tables }: OpenedLevel, cursor: number) {
    this.#db = db
    this.#tables = tables
    this.#cursor = cursor
  }

  /**
   * Opens the index. Starts an empty one if there is none or it is unreadable, because it can be rebuilt.
   *
   * @throws SteleError `locked`, `io_error`
   */
  static async open(folder: string): Promise<LevelLeafIndex> {
    const opened = await openLevel(folder, INCOMPRESSIBLE).catch(async (error: unknown) => {
      if (!hasCode(error, 'not_initialised', 'corrupt')) throw error
      await rm(folder, { recursive: true, force: true })
      return openLevel(folder, { ...INCOMPRESSIBLE, create: true })
    })
    try {
      // An unreadable cursor counts as none: everything is written again.
      const [fault] = (await opened.tables.check([CURSOR_KEY])) ?? []
      const stored = fault ? undefined : await opened.db.get(CURSOR_KEY)
      return new LevelLeafIndex(opened, stored ? getIndex(stored) : 0)
    } catch (error) {
      await opened.db.close()
      throw levelError(folder, error)
    }
  }

  get cursor(): number {
    return this.#cursor
  }

  async lookup(leafHashes: Uint8Array, { fillCache = true } = {}): Promise<(number | undefined)[]> {
    const keys: Uint8Array[] = []
    for (let at = 0; at < leafHashes.length; at += 32) keys.push(leafHashes.subarray(at, at + KEY_BYTES))
    // Not checked before its first use: each look-up reads a random place, and one append has many look-ups.
    const damaged = this.#tables.damaged.length > 0 ? await this.#tables.check(keys) : undefined
    const values = await this.#db.getMany(damaged ? keys.filter((_, i) => !damaged[i]) : keys, { fillCache })
    let next = 0
    return keys.map((_, i) => {
      const value = damaged?.[i] ? undefined : values[next++]
      return value ? getIndex(value) : undefined
    })
  }

  async checkFiles(
    share: readonly [from: number, to: number] | undefined,
    between: () => Promise<void>,
  ): Promise<CheckedIndexFiles> {
    const [from, to] = share ?? [0, 1]
    if (from === 0) await this.#tables.refresh()
    const bytesRead =
      share === undefined && this.#tables.damaged.length > 0
        ? await this.#tables.checkDamaged(between)
        : await this.#tables.checkFiles(keyAt(from), keyAt(to), between)
    const faults = this.#tables.faults.map(({ table, what, offset }) => {
      const place = `${tableName(table.number)}, ${what} block at byte ${offset}`
      return { place, message: `leaf index, ${place}: its checksum does not match. ${REMEDY}` }
    })
    return { bytesRead, faults }
  }

  async write(leaves: readonly IndexedLeaf[]): Promise<void> {
    const batch = this.#db.batch()
    const values = Buffer.allocUnsafe(leaves.length * 8)
    leaves.forEach(({ hash, index }, i) => {
      batch.put(hash.subarray(0, KEY_BYTES), putIndex(values.subarray(i * 8, i * 8 + 8), index))
    })
    await batch.write()
  }

  async moveCursor(cursor: number): Promise<void> {
    // The sync covers LevelDB's whole write-ahead log, so all leaves written before are durable too.
    await this.#db.put(CURSOR_KEY, putIndex(Buffer.alloc(8), cursor), { sync: true })
    this.#cursor = cursor
  }

  close(): Promise<void> {
    return this.#db.close()
  }
}

/** The index in memory: empty at every start, and then filled from the store when the log is opened. */
export class MemoryLeafIndex implements LeafIndex {
  readonly #indexes = new Map<string, number>()
  cursor = 0

  async lookup(leafHashes: Uint8Array): Promise<(number | undefined)[]> {
    const found: (number | undefined)[] = []
    for (let at = 0; at < leafHashes.length; at += 32) found.push(this.#indexes.get(keyText(leafHashes, at)))
    return found
  }

  async write(leaves: readonly IndexedLeaf[]): Promise<void> {
    for (const { hash, index } of leaves) this.#indexes.set(keyText(hash, 0), index)
  }

  async moveCursor(cursor: number): Promise<void> {
    this.cursor = cursor
  }

  async close(): Promise<void> {}
}

function keyText(hashes: Uint8Array, at: number): string {
  return Buffer.from(hashes.subarray(at, at + KEY_BYTES)).toString('latin1')
}

/** The remedy for damage. */
const REMEDY =
  'Stop the server and delete the folder of the leaf index: the next start rebuilds it from the log'

/** The first key of what lies behind a share of all keys, which are hashes. */
function keyAt(share: number): Uint8Array {
  if (share >= 1) return new Uint8Array(KEY_BYTES + 1).fill(255)
  const key = Buffer.alloc(KEY_BYTES)
  if (share === 0) return key.subarray(0, 0)
  key.writeUInt32BE(Math.floor(share * 2 ** 32))
  return key
}

function putIndex(into: Buffer, index: number): Buffer {
  into.writeBigUInt64BE(BigInt(index))
  return into
}

function getIndex(bytes: Uint8Array): number {
  return Number(Buffer.from(bytes.buffer, bytes.byteOffset, 8).readBigUInt64BE())
}
