// One entry per request: what most programs that log something do.
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { startKoa, startStele } from '../lib/children.mjs'
import { coresNote, loaded, onlyStatus } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const CONNECTIONS = 256

export const name = 'post'
export const title = 'one entry per request'

export async function run({ sizes, space, progress }) {
  const koa = await startKoa(await space.emptyFolder())
  const stele = await startStele(await space.dataFolder('main'))
  const writer = (target) => new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(1)
  const round = (server, exchange, warmup) =>
    loaded({ server, connections: CONNECTIONS, seconds: sizes.seconds, warmup, exchange })
  const [base, ours] = [[], []]
  for (let i = 0; i < sizes.rounds; i++) {
    const warmup = i === 0 ? 2 * sizes.warmup : sizes.warmup
    progress(`round ${i + 1} of ${sizes.rounds}, bare Koa`)
    base.push(await round(koa, (target) => onlyStatus(writer(target)), warmup))
    progress(`round ${i + 1} of ${sizes.rounds}, Stele`)
    ours.push(await round(stele, writer, warmup))
  }
  await koa.stop()
  await stele.stop()
  const last = ours.at(-1)
  return [
    row({
      name: 'post.rate',
      figure: `entries over HTTP, one per request, ${CONNECTIONS} connections`,
      unit: '/s',
      ours: ours.map((each) => each.perSecond),
      baseline: base.map((each) => each.perSecond),
      baselineIs: 'bare Koa',
      goals: [{ of: 'ratio', atLeast: 0.6 }],
      note: [
        `p50 ${last.p50.toFixed(1)} ms, p99 ${last.p99.toFixed(1)} ms, longest ${last.max.toFixed(0)} ms`,
        coresNote(ours),
        `bare Koa ${coresNote(base)}`,
      ].join('; '),
    }),
  ]
}
