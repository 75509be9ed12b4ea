import type { LogFiles } from '../client/http-files.ts'
import { hasCode } from '../errors.ts'
import { HASH_BYTES, leafHash, type Hash } from '../merkle/hash.ts'
import type { LogStore } from '../storage/store.ts'
import { decodeBundle } from '../tile/bundle.ts'
import { TileHashes } from '../tile/hashes.ts'
import { widthAt } from '../tile/layout.ts'
import { TILE_WIDTH } from '../tile/path.ts'

/** An untrusted copy of the log, of any size. Only bytes with the right hash are taken from it. */
export interface RepairSource {
  readonly files: LogFiles
  /** Number of its leaves. */
  readonly size: number
}

/** Bytes that may be the right ones, from the store itself or from a copy. None of them is verified. */
export class RepairCandidates {
  readonly #store: LogStore
  readonly #source: RepairSource

  constructor(store: LogStore, source: RepairSource) {
    this.#store = store
    this.#source = source
  }

  /** Stored entries [begin, end); undefined for each unreadable one. */
  async storedEntries(begin: number, end: number): Promise<(Uint8Array | undefined)[]> {
    try {
      return await this.#store.readEntries(begin, end)
    } catch (error) {
      if (!hasCode(error, 'corrupt', 'io_error')) throw error
    }
    // Read one by one, to find which of them are unreadable.
    const entries: (Uint8Array | undefined)[] = []
    for (let index = begin; index < end; index++) {
      const [entry] = (await this.#store.readEntries(index, index + 1).catch(unreadable)) ?? []
      entries.push(entry)
    }
    return entries
  }

  /** A stored full tile, if it is readable. */
  async storedTile(level: number, index: number): Promise<TileHashes | undefined> {
    const [bytes] = (await this.#store.readTiles([{ level, index }]).catch(unreadable)) ?? []
    return fullTile(bytes)
  }

  /** The copy's entries of a bundle: as many as it has. */
  async copiedEntries(bundle: number): Promise<Uint8Array[]> {
    const width = widthAt(0, bundle, this.#source.size)
    if (width === 0) return []
    const bytes = await this.#source.files.bundle(bundle, width).catch(unusable)
    if (!bytes) return []
    try {
      return decodeBundle(bytes, width)
    } catch (error) {
      return unusable(error) ?? []
    }
  }

  /** The copy's full tile, if it has that one. */
  async copiedTile(level: number, index: number): Promise<TileHashes | undefined> {
    if (widthAt(level, index, this.#source.size) < TILE_WIDTH) return undefined
    return fullTile(await this.#source.files.tile(level, index, TILE_WIDTH).catch(unusable))
  }

  /** A full tile, computed from what is stored below it. */
  async derivedTile(level: number, index: number): Promise<TileHashes | undefined> {
    const begin = index * TILE_WIDTH
    const hashes: (Hash | undefined)[] = []
    if (level === 0) {
      const entries = await this.storedEntries(begin, begin + TILE_WIDTH)
      hashes.push(...entries.map((entry) => entry && leafHash(entry)))
    } else {
      for (let i = 0; i < TILE_WIDTH; i++)
        hashes.push((await this.storedTile(level - 1, begin + i))?.node(8, 0))
    }
    return hashes.every((hash) => hash !== undefined) ? new TileHashes(slabOf(hashes)) : undefined
  }
}

/** Hashes one after the other; zeros for missing ones. */
export function slabOf(hashes: readonly (Hash | undefined)[]): Uint8Array {
  const slab = new Uint8Array(hashes.length * HASH_BYTES)
  hashes.forEach((hash, i) => hash && slab.set(hash, i * HASH_BYTES))
  return slab
}

function fullTile(bytes: Uint8Array | undefined): TileHashes | undefined {
  return bytes?.length === TILE_WIDTH * HASH_BYTES ? new TileHashes(bytes) : undefined
}

/** Ignores the errors of a damaged disk. */
function unreadable(error: unknown): undefined {
  if (!hasCode(error, 'corrupt', 'io_error')) throw error
}

/** Ignores the errors of a damaged copy. A copy that cannot be reached is an error: trying later may help. */
function unusable(error: unknown): undefined {
  if (!hasCode(error, 'malformed', 'not_found', 'unexpected_answer', 'io_error', 'corrupt')) throw error
}
