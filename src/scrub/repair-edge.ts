import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import type { TrustedHead } from '../client/verified-tiles.ts'
import { SteleError } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { rebuildTree } from '../tile/grow.ts'
import type { TileHashes } from '../tile/hashes.ts'
import { hashesAt } from '../tile/layout.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { slabOf, type RepairCandidates } from './repair-candidates.ts'

type Found = readonly (Hash | undefined)[]

/** What may be the partial tile of a level: as it is stored, as a copy has it, as it follows from what is below. */
interface Level {
  readonly stored: Found
  readonly copied: Found
  readonly derived: Found
}

/**
 * Finds the partial tiles of a tree, from which all its other hashes are reached: they are right if they make the
 * signed root hash. As a rule what is stored does; else each level is taken from wherever it can be had, in whichever
 * combination makes it.
 *
 * @returns the hashes of the partial tile of each level, lowest first
 * @throws SteleError `corrupt` if no combination makes it
 */
export async function findEdge(head: TrustedHead, candidates: RepairCandidates): Promise<Uint8Array[]> {
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

/** Damage is rare, so one of these is right: as stored, or with all that can be had from one or both of the others. */
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
