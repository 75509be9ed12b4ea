import { readEntries, type LogFiles, type VerifiedEntry, type VerifiedTiles } from '../client/index.ts'
import { inOrder } from '../client/ordered.ts'
import { formatBundlePath, formatTilePath, TILE_WIDTH } from '../tile/path.ts'
import { blaming } from './blame.ts'

// Read ahead: enough to hide the way to a server; each bundle is up to 16 MiB, usually far less.
const BUNDLES_AT_A_TIME = 4

/**
 * Reads entries [begin, end) in order, bundle by bundle, and the level-0 tile over each of them. All of it is checked
 * against the trusted head of `tiles`. The tile is not needed to check entries; but proofs are made of it, and nobody
 * else looks whether it is served as it must be.
 *
 * @throws Blamed `bad_tile`, `bad_entry`, with the path; `unreachable`
 */
export async function* readBundles(
  files: LogFiles,
  tiles: VerifiedTiles,
  begin: number,
  end: number,
): AsyncGenerator<VerifiedEntry[], void, undefined> {
  yield* inOrder(bundlesOf(begin, end), BUNDLES_AT_A_TIME, async (index) => {
    const width = Math.min(TILE_WIDTH, tiles.head.size - index * TILE_WIDTH)
    const tile = { level: 0, index, width }
    await blaming('bad_tile', formatTilePath(tile), () => tiles.readTiles([tile]))
    const [from, to] = [Math.max(begin, index * TILE_WIDTH), Math.min(end, index * TILE_WIDTH + width)]
    return blaming('bad_entry', formatBundlePath(index, width), () =>
      all(readEntries(files, tiles, from, to, 1)),
    )
  })
}

function* bundlesOf(begin: number, end: number): Generator<number> {
  for (let bundle = Math.floor(begin / TILE_WIDTH); bundle * TILE_WIDTH < end; bundle++) yield bundle
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}
