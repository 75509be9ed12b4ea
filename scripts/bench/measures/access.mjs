// What keys, roles and the meta log cost whoever writes: the same server with all of it, and open without any.
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { startStele } from '../lib/children.mjs'
import { withAccess } from '../lib/data.mjs'
import { coresNote, loaded } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const GOALS = [{ of: 'ratio', atLeast: 0.8 }]
/** For each round of other measurements. */
const PAIRS = 4
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
    const exchange = (target) =>
      new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(batch)
    const load = (running, seconds) =>
      loaded({ ...running, connections, seconds, warmup: sizes.warmup / 4, exchange })
    // What is compared are servers that have run for a while: one has more code to be compiled than the other.
    for (const running of Object.values(servers)) {
      progress(`warming up, ${what}`)
      await load(running, 2 * sizes.seconds)
    }
    // Many short pairs: a machine changes its pace from one second to the next, and both of a pair have the same.
    const rounds = PAIRS * sizes.rounds
    for (let i = 0; i < rounds; i++) {
      for (const [kind, running] of Object.entries(servers)) {
        progress(`round ${i + 1} of ${rounds}, ${what}, ${kind}`)
        found[kind].push(await load(running, sizes.seconds / 2))
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
