// Full tiles of hashes: what monitors, mirrors and caches read.
import { startKoa, startStele } from '../lib/children.mjs'
import { getter } from '../lib/get.mjs'
import { coresNote, loaded } from '../lib/load.mjs'
import { row } from '../lib/rows.mjs'
import { formatTilePath } from '../lib/stele.mjs'

const CONNECTIONS = 64
const TILE_BYTES = 8192

export const name = 'tiles'
export const title = 'tile reads'

export async function run({ sizes, space, progress }) {
  const data = await space.logOf(sizes.largeLog, (text) => progress(`making a log, ${text}`))
  const koa = await startKoa(await space.emptyFolder())
  const stele = await startStele(data)
  const paths = randomTiles(Math.floor(sizes.largeLog / 256))
  const exchange = (target) => getter(target, paths, check)
  const round = (server, warmup) =>
    loaded({ server, connections: CONNECTIONS, seconds: sizes.seconds, warmup, exchange })
  const [base, ours] = [[], []]
  for (let i = 0; i < sizes.rounds; i++) {
    const warmup = i === 0 ? 2 * sizes.warmup : sizes.warmup
    progress(`round ${i + 1} of ${sizes.rounds}, bare Koa`)
    base.push(await round(koa, warmup))
    progress(`round ${i + 1} of ${sizes.rounds}, Stele`)
    ours.push(await round(stele, warmup))
  }
  await koa.stop()
  await stele.stop()
  return [
    row({
      name: 'tiles.rate',
      figure: `full tiles of level 0, ${sizes.largeLog.toLocaleString('en')} leaves`,
      unit: '/s',
      ours: ours.map((each) => each.perSecond),
      baseline: base.map((each) => each.perSecond),
      baselineIs: 'bare Koa, 8 KiB',
      goals: [{ of: 'ratio', atLeast: 0.7 }],
      note: `${coresNote(ours)}; bare Koa ${coresNote(base)}`,
    }),
  ]
}

/** Every full tile once, in no order. */
function randomTiles(count) {
  const order = Array.from({ length: count }, (_, index) => ({ index, at: Math.random() }))
  return order
    .toSorted((a, b) => a.at - b.at)
    .map(({ index }) => formatTilePath({ level: 0, index, width: 256 }))
}

function check({ status, body }) {
  return status === 200 && body.length === TILE_BYTES ? undefined : `status ${status}, ${body.length} bytes`
}
