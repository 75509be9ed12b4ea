import { SteleError, invariant } from '../errors.ts'
import { equalBytes } from '../bytes/bytes.ts'
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
 * A log in memory, for tests and trials. It is strict, and gone when the process ends. It copies its input, so that a
 * caller that changes bytes after the commit is detected.
 */
export class MemoryStore implements LogStore {
  readonly #entries: Uint8Array[] = []
  readonly #tiles = new Map<string, Uint8Array>()
  #head: StoredHead | undefined
  #closed = false
  readonly failure: SteleError | undefined = undefined

  async readHead(): Promise<StoredHead | undefined> {
    this.#checkOpen()
    return this.#head
  }

  async commit(step: Commit): Promise<void> {
    this.#checkOpen()
    checkStep(step, this.#head?.size ?? -1)
    for (const tile of step.tiles) {
      const key = `${tile.level}/${tile.index}`
      const kept = this.#tiles.get(key)
      invariant(!kept || equalBytes(kept, tile.hashes), `tile ${key} was committed before with other hashes`)
      this.#tiles.set(key, tile.hashes.slice())
    }
    for (const entry of step.entries) this.#entries.push(entry.slice())
    this.#head = { size: step.head.size, record: step.head.record.slice() }
  }

  async readEntries(begin: number, end: number, maxBytes = Number.POSITIVE_INFINITY): Promise<Uint8Array[]> {
    this.#checkOpen()
    if (begin < end && end > this.#entries.length) {
      const missing = Math.max(begin, this.#entries.length)
      throw new SteleError('corrupt', `memory: entry ${missing} should be stored and is not there`)
    }
    let bytes = 0
    const range = this.#entries.slice(begin, end)
    const cut = range.findIndex((entry, i) => (bytes += entry.length) > maxBytes && i > 0)
    return cut < 0 ? range : range.slice(0, cut)
  }

  async readTiles(tiles: readonly FullTileId[]): Promise<(Uint8Array | undefined)[]> {
    this.#checkOpen()
    return tiles.map(({ level, index }) => this.#tiles.get(`${level}/${index}`))
  }

  async repair(repair: Repair): Promise<void> {
    this.#checkOpen()
    checkRepair(repair, this.#head?.size ?? 0)
    for (const { index, entry } of repair.entries) this.#entries[index] = entry.slice()
    for (const { level, index, hashes } of repair.tiles) this.#tiles.set(`${level}/${index}`, hashes.slice())
  }

  /** Only the newest head is kept. */
  async inspect(places: readonly StoredId[]): Promise<Inspected[]> {
    this.#checkOpen()
    return places.map((place) => {
      if (place.kind === 'entry') return this.#entries[place.index]
      if (place.kind === 'tile') return this.#tiles.get(`${place.level}/${place.index}`)
      return this.#head?.size === place.size ? this.#head.record : undefined
    })
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  #checkOpen(): void {
    invariant(!this.#closed, 'the store is used after it was closed')
  }
}
