import { SteleError } from '../errors.ts'
import type { Commit, FullTileId, Inspected, LogStore, Repair, StoredHead, StoredId } from './store.ts'

/** Entries, and positions of tiles, of one region. */
const REGION = 256

/**
 * A store of which regions can be shut off: to read them has ended the process before. A reader who asks for them gets an
 * error then, and everybody else goes on. Owner of the list of them, which ends with the process.
 */
export class ShutOffStore implements LogStore {
  readonly #store: LogStore
  readonly #regions = new Set<number>()

  constructor(store: LogStore) {
    this.#store = store
  }

  shutOff(region: number): void {
    this.#regions.add(region)
  }

  async readEntries(begin: number, end: number, maxBytes?: number): Promise<Uint8Array[]> {
    this.#check(begin, end)
    return this.#store.readEntries(begin, end, maxBytes)
  }

  async readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]> {
    for (const { level, index } of tiles) {
      const end = (index + 1) * 256 ** (level + 1)
      this.#check(end - 1, end)
    }
    return this.#store.readTiles(tiles)
  }

  /** Whoever checks what is stored asks first which regions are left. */
  inspect(places: readonly StoredId[]): Promise<Inspected[]> {
    return this.#store.inspect(places)
  }

  readHead(): Promise<StoredHead | undefined> {
    return this.#store.readHead()
  }

  commit(step: Commit): Promise<void> {
    return this.#store.commit(step)
  }

  repair(repair: Repair): Promise<void> {
    return this.#store.repair(repair)
  }

  get failure(): SteleError | undefined {
    return this.#store.failure
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  #check(begin: number, end: number): void {
    for (const region of this.#regions) {
      const from = region * REGION
      if (from >= end || from + REGION <= begin) continue
      throw new SteleError(
        'corrupt',
        `what is stored at positions ${from} to ${from + REGION - 1} is not read: the process has ended while it was`,
      )
    }
  }
}
