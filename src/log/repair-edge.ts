import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import type { TrustedHead } from '../client/verified-tiles.ts'
import { SteleError } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { rebuildTree } from '../tile/grow.ts'
import { hashesAt } from '../tile/layout.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { slabOf, type RepairCandidates } from './repair-candidates.ts'

/** Two ways to make the partial tile of a level: what is stored, and what a copy has. */
type Choice = readonly [Uint8Array, Uint8Array]

/**
 * Finds the partial tiles of a tree, from which all its other hashes are reached: they are right if they make the
 * signed root hash. Each level is taken as it is stored or as the copy has it, in whichever combination does.
 *
 * @returns the hashes of the partial tile of each level, lowest first
 * @throws SteleError `corrupt` if no combination makes it
 */
export async function findEdge(head: TrustedHead, candidates: RepairCandidates): Promise<Uint8Array[]> {
  const choices: Choice[] = []
  for (let level = 0; hashesAt(level, head.size) > 0; level++) {
    choices.push(await choiceOf(level, head.size, candidates))
  }
  for (let which = 0; which < 2 ** choices.length; which++) {
    const partials = choices.map((choice, level) => choice[Math.floor(which / 2 ** level) % 2]!)
    if (equalBytes(rebuildTree(head.size, partials).root, head.root)) return partials
  }
  throw new SteleError(
    'corrupt',
    `tree size ${head.size}: neither what is stored nor what the copy has makes the signed root hash ` +
      `${toHex(head.root)}: the newest entries are damaged, and the copy lacks them or is of another history`,
  )
}

async function choiceOf(level: number, size: number, candidates: RepairCandidates): Promise<Choice> {
  const count = hashesAt(level, size)
  const width = count % TILE_WIDTH
  const begin = count - width
  const [stored, copied] =
    level === 0
      ? await leavesOf(begin, width, candidates)
      : await rootsOf(level - 1, begin, width, candidates)
  const places = Array.from({ length: width }, (_, i) => i)
  return [
    slabOf(places.map((i) => stored[i] ?? copied[i])),
    slabOf(places.map((i) => copied[i] ?? stored[i])),
  ]
}

type Found = readonly (Hash | undefined)[]

async function leavesOf(
  begin: number,
  width: number,
  candidates: RepairCandidates,
): Promise<readonly [Found, Found]> {
  if (width === 0) return [[], []]
  const stored = await candidates.storedEntries(begin, begin + width)
  const copied = await candidates.copiedEntries(begin / TILE_WIDTH)
  return [stored.map((entry) => entry && leafHash(entry)), copied.slice(0, width).map(leafHash)]
}

async function rootsOf(
  level: number,
  begin: number,
  width: number,
  candidates: RepairCandidates,
): Promise<readonly [Found, Found]> {
  const stored: (Hash | undefined)[] = []
  const copied: (Hash | undefined)[] = []
  for (let index = begin; index < begin + width; index++) {
    stored.push((await candidates.storedTile(level, index))?.node(8, 0))
    copied.push((await candidates.copiedTile(level, index))?.node(8, 0))
  }
  return [stored, copied]
}
