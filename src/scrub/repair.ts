import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import type { TrustedHead } from '../client/verified-tiles.ts'
import { SteleError } from '../errors.ts'
import { type Hash, leafHash } from '../merkle/hash.ts'
import type { EntryRepair, LogStore, TileRepair } from '../storage/store.ts'
import { rebuildTree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { hashesAt } from '../tile/layout.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { RepairCandidates, type RepairSource, slabOf } from './repair-candidates.ts'

/** The range to repair, and how. */
interface RepairOptions {
  /** Entries [begin, end) and the tiles above them. Default: all. */
  readonly begin?: number
  readonly end?: number
  /** Only report; change nothing. */
  readonly dryRun?: boolean
  /** Called after every bundle. An error it throws ends the repair; earlier writes stay. */
  readonly onProgress?: (entries: number) => void
}

/** The result of a repair. */
export interface RepairReport {
  readonly checked: { readonly entries: number; readonly tiles: number }
  /** Damage that was repaired, or with `dryRun` could be. */
  readonly repaired: { readonly entries: number; readonly tiles: number }
  /** Damage for which no source has the right bytes. What lies below a lost tile was not checked. */
  readonly lost: { readonly entries: number; readonly tiles: number }
  /** The first of both, for example `entry 300` and `tile 0/1`. */
  readonly examples: readonly string[]
}

/** One synced write. */
const BATCH = 64
const BATCH_BYTES = 1024 * 1024
const MOST_EXAMPLES = 20

/**
 * Compares the content of a log's store with its signed head, from the root hash down, and restores what is damaged:
 * from a copy, or for tiles from what is stored below them. Only bytes that match the signed hash are ever written, and
 * undamaged content is never touched. Memory does not grow with the log.
 *
 * Commits may go on meanwhile: nothing below the head changes.
 *
 * @param head has a verified signature; it is the store's own, or an earlier one
 * @throws SteleError `corrupt` if even the newest hashes cannot be determined; `outcome_unknown` for a write that
 *   failed; what the copy throws when it cannot be reached
 */
export async function repairRange(
  store: LogStore,
  head: TrustedHead,
  source: RepairSource,
  options: RepairOptions = {},
): Promise<RepairReport> {
  const repairer = new Repairer(store, head, source, options)
  await repairer.run()
  return repairer.report()
}

/** One walk over a tree. Owner of the waiting writes. */
class Repairer {
  readonly #store: LogStore
  readonly #head: TrustedHead
  readonly #candidates: RepairCandidates
  readonly #options: RepairOptions
  readonly #begin: number
  readonly #end: number
  readonly #checked = { entries: 0, tiles: 0 }
  readonly #repaired = { entries: 0, tiles: 0 }
  readonly #lost = { entries: 0, tiles: 0 }
  readonly #examples: string[] = []
  #entries: EntryRepair[] = []
  #tiles: TileRepair[] = []
  #bytes = 0

  constructor(store: LogStore, head: TrustedHead, source: RepairSource, options: RepairOptions) {
    this.#store = store
    this.#head = head
    this.#candidates = new RepairCandidates(store, source)
    this.#options = options
    this.#begin = options.begin ?? 0
    this.#end = Math.min(options.end ?? head.size, head.size)
  }

  async run(): Promise<void> {
    const edge = await findEdge(this.#head, this.#candidates)
    // The widest level covers the oldest leaves, so this walks the log from beginning to end.
    for (let level = edge.length - 1; level > 0; level--) {
      await this.#checkBelow(level - 1, this.#edgeBegin(level), edge[level]!)
    }
    if (edge[0]?.length) await this.#checkEntries(this.#edgeBegin(0), new TileHashes(edge[0]))
    await this.#flush()
  }

  report(): RepairReport {
    return {
      checked: this.#checked,
      repaired: this.#repaired,
      lost: this.#lost,
      examples: this.#examples,
    }
  }

  /** Index, at a level, of the first hash of its partial tile. */
  #edgeBegin(level: number): number {
    const count = Math.floor(this.#head.size / TILE_WIDTH ** level)
    return count - (count % TILE_WIDTH)
  }

  /** @param roots of tiles of this level, from tile `first` on */
  async #checkBelow(level: number, first: number, roots: Uint8Array): Promise<void> {
    if (roots.length === 0) return
    const above = new TileHashes(roots)
    for (let i = 0; i < above.width; i++) await this.#checkTile(level, first + i, above.node(0, i))
  }

  async #checkTile(level: number, index: number, root: Hash): Promise<void> {
    const leaves = TILE_WIDTH ** (level + 1)
    if ((index + 1) * leaves <= this.#begin || index * leaves >= this.#end) return
    const tile = await this.#rightTile(level, index, root)
    if (!tile) return
    if (level === 0) await this.#checkEntries(index * TILE_WIDTH, tile)
    else await this.#checkBelow(level - 1, index * TILE_WIDTH, tile.bytes)
  }

  /** The tile with this root, from any source. */
  async #rightTile(level: number, index: number, root: Hash): Promise<TileHashes | undefined> {
    const isRight = (tile: TileHashes | undefined): tile is TileHashes =>
      tile !== undefined && equalBytes(tile.node(8, 0), root)
    this.#checked.tiles++
    const stored = await this.#candidates.storedTile(level, index)
    if (isRight(stored)) return stored
    this.#example(`tile ${level}/${index}`)
    for (const find of ['copiedTile', 'derivedTile'] as const) {
      const tile = await this.#candidates[find](level, index)
      if (!isRight(tile)) continue
      this.#tiles.push({ level, index, hashes: tile.bytes, root })
      this.#repaired.tiles++
      await this.#added(tile.bytes.length)
      return tile
    }
    this.#lost.tiles++
    return undefined
  }

  /** @param leaves what the signed tree has from entry `begin` on */
  async #checkEntries(begin: number, leaves: TileHashes): Promise<void> {
    if (begin + leaves.width <= this.#begin || begin >= this.#end) return
    const stored = await this.#candidates.storedEntries(begin, begin + leaves.width)
    const isRight = (entry: Uint8Array | undefined, i: number): entry is Uint8Array =>
      entry !== undefined && equalBytes(leafHash(entry), leaves.node(0, i))
    const wrong = stored.flatMap((entry, i) => (isRight(entry, i) ? [] : [i]))
    const copied = wrong.length > 0 ? await this.#candidates.copiedEntries(begin / TILE_WIDTH) : []
    for (const i of wrong) {
      this.#example(`entry ${begin + i}`)
      const entry = copied[i]
      if (isRight(entry, i)) await this.#putBack({ index: begin + i, entry, leafHash: leaves.node(0, i) })
      else this.#lost.entries++
    }
    this.#checked.entries += leaves.width
    this.#options.onProgress?.(begin + leaves.width)
  }

  async #putBack(repair: EntryRepair): Promise<void> {
    this.#entries.push(repair)
    this.#repaired.entries++
    await this.#added(repair.entry.length)
  }

  async #added(bytes: number): Promise<void> {
    this.#bytes += bytes
    if (this.#entries.length + this.#tiles.length >= BATCH || this.#bytes >= BATCH_BYTES) await this.#flush()
  }

  async #flush(): Promise<void> {
    const [entries, tiles] = [this.#entries, this.#tiles]
    this.#entries = []
    this.#tiles = []
    this.#bytes = 0
    if (this.#options.dryRun || entries.length + tiles.length === 0) return
    await this.#store.repair({ entries, tiles })
  }

  #example(what: string): void {
    if (this.#examples.length < MOST_EXAMPLES) this.#examples.push(what)
  }
}

type Found = readonly (Hash | undefined)[]

/** The candidates for the partial tile of a level: stored, from the copy, and computed from the level below. */
interface Level {
  readonly stored: Found
  readonly copied: Found
  readonly derived: Found
}

/**
 * Finds the partial tiles of a tree, from which all its other hashes are reached. They are right if they produce the
 * signed root hash. Usually the stored ones do; otherwise all combinations of the candidates of each level are tried.
 *
 * @returns the hashes of the partial tile of each level, lowest first
 * @throws SteleError `corrupt` if no combination produces it
 */
async function findEdge(head: TrustedHead, candidates: RepairCandidates): Promise<Uint8Array[]> {
  const isRight = (partials: readonly Uint8Array[]): boolean =>
    equalBytes(rebuildTree(head.size, partials).root, head.root)
  const places = placesOf(head.size)
  const stored: Found[] = []
  for (const place of places) stored.push(await storedOf(place, candidates))
  const asStored = stored.map(slabOf)
  if (isRight(asStored)) return asStored

  const choices: Uint8Array[][] = []
  for (const [i, place] of places.entries()) {
    choices.push(choicesOf({ stored: stored[i]!, ...(await othersOf(place, candidates)) }))
  }
  for (const partials of combinations(choices)) if (isRight(partials)) return partials
  throw new SteleError(
    'corrupt',
    `tree size ${head.size}: neither what is stored nor what the copy has makes the signed root hash ` +
      `${toHex(head.root)}: the newest entries are damaged, and the copy lacks them or is of another history`,
  )
}

/** The partial tile of a level: `width` hashes from `begin` on. */
interface Place {
  readonly level: number
  readonly begin: number
  readonly width: number
}

function placesOf(size: number): Place[] {
  const places: Place[] = []
  for (let level = 0; hashesAt(level, size) > 0; level++) {
    const count = hashesAt(level, size)
    places.push({ level, begin: count - (count % TILE_WIDTH), width: count % TILE_WIDTH })
  }
  return places
}

async function storedOf({ level, begin, width }: Place, candidates: RepairCandidates): Promise<Found> {
  if (width === 0) return []
  if (level > 0) return each(begin, width, (index) => candidates.storedTile(level - 1, index))
  return (await candidates.storedEntries(begin, begin + width)).map((entry) => entry && leafHash(entry))
}

async function othersOf(
  { level, begin, width }: Place,
  candidates: RepairCandidates,
): Promise<Omit<Level, 'stored'>> {
  if (width === 0) return { copied: [], derived: [] }
  if (level === 0) {
    const copied = await candidates.copiedEntries(begin / TILE_WIDTH)
    return { copied: copied.slice(0, width).map(leafHash), derived: [] }
  }
  return {
    copied: await each(begin, width, (index) => candidates.copiedTile(level - 1, index)),
    derived: await each(begin, width, (index) => candidates.derivedTile(level - 1, index)),
  }
}

async function each(
  begin: number,
  width: number,
  find: (index: number) => Promise<TileHashes | undefined>,
): Promise<Found> {
  const roots: (Hash | undefined)[] = []
  for (let index = begin; index < begin + width; index++) roots.push((await find(index))?.node(8, 0))
  return roots
}

/** Damage is rare, so one of these is right: the stored hashes, or those completed from one or both other sources. */
function choicesOf({ stored, copied, derived }: Level): Uint8Array[] {
  const first = (...lists: readonly Found[]): Uint8Array =>
    slabOf(stored.map((_, i) => lists.find((list) => list[i] !== undefined)?.[i]))
  return [first(stored), first(copied, stored), first(derived, stored), first(copied, derived, stored)]
}

/** One of each list, in every combination: at most 4 to the power of the levels, of which a log has 2 to 4. */
function* combinations(lists: readonly Uint8Array[][]): Generator<Uint8Array[], void, undefined> {
  const [first, ...rest] = lists
  if (!first) {
    yield []
    return
  }
  for (const tail of combinations(rest)) for (const one of first) yield [one, ...tail]
}
