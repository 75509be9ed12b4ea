import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { invariant, SteleError } from '../errors.ts'
import { HASH_BYTES, hashLeafInto, type Hash } from '../merkle/hash.ts'
import type { LogIdentity } from '../note/checkpoint.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { decodeBundle } from '../tile/bundle.ts'
import { formatBundlePath, TILE_WIDTH } from '../tile/path.ts'
import type { LogFiles } from './http-files.ts'
import { inOrder } from './ordered.ts'
import type { VerifiedTiles } from './verified-tiles.ts'

/** An entry that is in the tree at this index. */
export interface VerifiedEntry {
  readonly index: number
  readonly entry: Uint8Array
  readonly leafHash: Hash
}

/**
 * Refuses logs of c2sp.org/static-ct-api, by the type of key that they alone sign checkpoints with. Their checkpoints and
 * tiles are those of any tiled log, their entries are not.
 *
 * @throws SteleError `foreign_format`
 */
export function checkHasBundles({ origin, verifiers }: LogIdentity): void {
  const types = new Set(verifiers.map(({ type }) => type))
  if (types.size !== 1 || !types.has(KEY_TYPE.treeHead)) return
  throw new SteleError(
    'foreign_format',
    `log ${origin}: its key (type 0x05) is that of a static-ct log: it has certificates under tile/data/ in place of ` +
      'entry bundles under tile/entries/, and they are not read here. Its checkpoints, tiles and proofs are',
  )
}

/**
 * Reads entries [begin, end) in order, each checked against the trusted head of `tiles` before it is given.
 *
 * @param bundlesAtATime bundles asked for ahead of the one being read; each is up to 16 MiB, usually far less
 * @throws SteleError `out_of_range` beyond the head; `not_found` for a bundle that the log does not serve;
 *   `bad_proof` naming the first index whose entry is not the one in the tree; `malformed` for a bundle that is none
 */
export async function* readEntries(
  files: LogFiles,
  tiles: VerifiedTiles,
  begin: number,
  end: number,
  bundlesAtATime = 4,
): AsyncGenerator<VerifiedEntry, void, undefined> {
  const whole = Number.isSafeInteger(begin) && Number.isSafeInteger(end)
  if (!whole || begin < 0 || begin > end || end > tiles.head.size) {
    throw new SteleError(
      'out_of_range',
      `entries ${begin} to ${end}: expected a range in [0, ${tiles.head.size})`,
    )
  }
  const bundles = inOrder(bundlesOf(begin, end), bundlesAtATime, (bundle) => readBundle(files, tiles, bundle))
  for await (const entries of bundles) {
    for (const entry of entries) if (entry.index >= begin && entry.index < end) yield entry
  }
}

function* bundlesOf(begin: number, end: number): Generator<number> {
  for (let bundle = Math.floor(begin / TILE_WIDTH); bundle * TILE_WIDTH < end; bundle++) yield bundle
}

async function readBundle(files: LogFiles, tiles: VerifiedTiles, bundle: number): Promise<VerifiedEntry[]> {
  const width = Math.min(TILE_WIDTH, tiles.head.size - bundle * TILE_WIDTH)
  const path = formatBundlePath(bundle, width)
  const bytes = await files.bundle(bundle, width)
  if (bytes === undefined) throw new SteleError('not_found', `${path}: the log does not serve it`)
  const entries = decodeBundle(bytes, width)
  const slab = new Uint8Array(width * HASH_BYTES)
  entries.forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
  if (!(await tiles.holdsLeaves(bundle, slab))) throw await firstWrong(tiles, bundle, slab)
  return entries.map((entry, i) => ({ index: bundle * TILE_WIDTH + i, entry, leafHash: hashAt(slab, i) }))
}

async function firstWrong(tiles: VerifiedTiles, bundle: number, slab: Uint8Array): Promise<SteleError> {
  const width = slab.length / HASH_BYTES
  const [tile] = await tiles.readTiles([{ level: 0, index: bundle, width }])
  const places = Array.from({ length: width }, (_, i) => i)
  const wrong = places.find((i) => !equalBytes(tile!.node(0, i), hashAt(slab, i)))
  invariant(wrong !== undefined, `entries of bundle ${bundle} both match the tree and do not`)
  return new SteleError(
    'bad_proof',
    `entry ${bundle * TILE_WIDTH + wrong}: its leaf hash is ${toHex(hashAt(slab, wrong))}, but the tree of size ` +
      `${tiles.head.size} has ${toHex(tile!.node(0, wrong))} there`,
  )
}

function hashAt(slab: Uint8Array, i: number): Hash {
  return slab.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES) as Hash
}
