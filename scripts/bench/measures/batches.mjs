// Batches of 1,000 entries, in the process and over HTTP, against LevelDB alone.
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { runProcess, startStele } from '../lib/children.mjs'
import { coresNote, loaded } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const BATCH = 1000
/** Batches under way at once. Two: while one is committed the next one is hashed, and every commit is of one batch. */
const IN_FLIGHT = 2
const CONNECTIONS = 4
const GOALS = [
  { of: 'ratio', atLeast: 0.5 },
  { of: 'ours', atLeast: 100_000 },
]

export const name = 'batches'
export const title = 'batches of 1,000 entries'

export async function run(context) {
  const { sizes, progress } = context
  const found = { random: { raw: [], log: [] }, audit: { raw: [], log: [] }, http: [] }
  for (let i = 0; i < sizes.rounds; i++) {
    for (const kind of ['random', 'audit']) {
      progress(`round ${i + 1} of ${sizes.rounds}, ${kind} entries, LevelDB alone`)
      found[kind].raw.push(await raw(context, kind))
      progress(`round ${i + 1} of ${sizes.rounds}, ${kind} entries, Log.append`)
      found[kind].log.push(await inProcess(context, kind))
    }
    progress(`round ${i + 1} of ${sizes.rounds}, HTTP`)
    found.http.push(await overHttp(context))
  }
  const rowOf = (key, figure, ours, baseline, note) =>
    row({ name: key, figure, unit: '/s', ours, baseline, baselineIs: 'raw LevelDB', goals: GOALS, note })
  const note = (rounds) => `${Math.round(sizes.batchEntries / rounds.at(-1).commits)} entries a commit`
  const rate = (rounds) => rounds.map((each) => each.perSecond)
  const { random, audit, http } = found
  return [
    rowOf(
      'batches.append',
      `entries in batches of ${BATCH}, Log.append`,
      rate(random.log),
      rate(random.raw),
      note(random.log),
    ),
    rowOf('batches.append.audit', 'the same, audit lines', rate(audit.log), rate(audit.raw), note(audit.log)),
    rowOf(
      'batches.http',
      `the same over HTTP, ${CONNECTIONS} connections`,
      http.map((each) => each.perSecond * BATCH),
      rate(random.raw),
      coresNote(http),
    ),
  ]
}

async function raw({ sizes, space }, kind) {
  const folder = await space.emptyFolder()
  const result = await runProcess('raw', {
    folder,
    entries: sizes.batchEntries,
    batch: BATCH,
    kind,
    seed: 'raw',
  })
  await space.remove(folder)
  return result
}

async function inProcess({ sizes, space }, kind) {
  const data = await space.dataFolder('main')
  const task = { data, entries: sizes.batchEntries, batch: BATCH, inFlight: IN_FLIGHT, kind, seed: 'append' }
  const result = await runProcess('append', task)
  await space.remove(data)
  return result
}

async function overHttp({ sizes, space }) {
  const data = await space.dataFolder('main')
  const server = await startStele(data)
  const exchange = (target) =>
    new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(BATCH)
  const { seconds, warmup } = sizes
  const result = await loaded({ server, connections: CONNECTIONS, seconds, warmup, exchange })
  await server.stop()
  await space.remove(data)
  return result
}
