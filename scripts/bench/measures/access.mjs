// What keys, roles and the meta log cost whoever writes: the same server with all of it, and open without any.
import { EntrySource, Sample, Writers } from '../../../dist/cli/load/index.js'
import { startStele } from '../lib/children.mjs'
import { withAccess } from '../lib/data.mjs'
import { coresNote, loaded } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const GOALS = [{ of: 'ratio', atLeast: 0.8 }]
const KINDS = [
  { key: 'access.post', batch: 1, connections: 256, what: 'entries, one per request, 256 connections' },
  { key: 'access.batches', batch: 1000, connections: 4, what: 'entries in batches of 1000, 4 connections' },
]

export const name = 'access'
export const title = 'writes with keys and meta log'

export async function run({ sizes, space, progress }) {
  const rows = []
  for (const { key, batch, connections, what } of KINDS) {
    const data = await space.dataFolder('main')
    const apiKey = await withAccess(data)
    const servers = {
      open: { server: await startStele(await space.dataFolder('main')) },
      keyed: { server: await startStele(data, { flags: [] }), apiKey },
    }
    const found = { open: [], keyed: [] }
    for (let i = 0; i < sizes.rounds; i++) {
      for (const [kind, running] of Object.entries(servers)) {
        progress(`round ${i + 1} of ${sizes.rounds}, ${what}, ${kind}`)
        const { seconds, warmup } = sizes
        const exchange = (target) =>
          new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(batch)
        found[kind].push(await loaded({ ...running, connections, seconds, warmup, exchange }))
      }
    }
    for (const { server } of Object.values(servers)) await server.stop()
    rows.push(
      row({
        name: key,
        figure: `${what}, with API keys and meta log`,
        unit: '/s',
        ours: found.keyed.map((each) => each.perSecond * batch),
        baseline: found.open.map((each) => each.perSecond * batch),
        baselineIs: 'the same server without',
        goals: GOALS,
        note: `${coresNote(found.keyed)}; without ${coresNote(found.open)}`,
      }),
    )
  }
  return rows
}
