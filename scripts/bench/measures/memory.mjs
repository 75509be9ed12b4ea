// What the server weighs on a large log under everything at once, and whether it grows.
import { EntrySource, Load, parseTarget, Sample, Writers } from '../../../dist/load/index.js'
import { startStele } from '../lib/children.mjs'
import { getter } from '../lib/get.mjs'
import { sleep } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { memoryOf } from '../lib/proc.mjs'
import { row } from '../lib/rows.mjs'
import { median } from '../lib/stats.mjs'

const SAMPLE_SECONDS = 0.25

export const name = 'memory'
export const title = 'memory under load'

export async function run({ sizes, kind, space, progress }) {
  const size = kind === 'long' ? sizes.sustained : sizes.largeLog
  const data = await space.logOf(size, (text) => progress(`making a log, ${text}`))
  space.spoil(size)
  const server = await startStele(data)
  const loads = mixedLoad(server, size)
  const samples = []
  for (const load of loads) load.start()
  const endMs = performance.now() + sizes.soak * 1000
  while (performance.now() < endMs) {
    await sleep(SAMPLE_SECONDS)
    samples.push({ atMs: performance.now(), ...memoryOf(server.pid) })
    progress(
      `${Math.round((endMs - performance.now()) / 1000)} s left, RSS ${samples.at(-1).rss?.toFixed(0)} MB`,
    )
  }
  for (const load of loads) await load.stop()
  await server.stop()
  await space.remove(data)
  return rowsOf(samples, size, loads, sizes.soak)
}

/** Writers of single entries and of batches, and readers of proofs, tiles and bundles, all as fast as answers come. */
function mixedLoad(server, size) {
  const target = parseTarget(`${server.url}/logs/main`)
  const writer = (batch) => () =>
    new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(1)).exchange(batch)
  const random = (count) => Array.from({ length: 512 }, () => Math.floor(Math.random() * count))
  const proofs = random(size).map((index) => `v1/proofs/inclusion?index=${index}`)
  const bundles = random(Math.min(1000, size / 256)).map((n) => `tile/entries/${String(n).padStart(3, '0')}`)
  const load = (connections, exchange) => new Load({ target, connections, exchange })
  return [
    load(64, writer(1)),
    load(2, writer(500)),
    load(16, () => getter(target, proofs)),
    load(8, () => getter(target, bundles)),
  ]
}

/** Soaks shorter than this say nothing about growth: caches are still filling. */
const SHORTEST_SOAK_SECONDS = 20

function rowsOf(samples, size, loads, seconds) {
  if (samples[0].rss === undefined) return []
  const last = samples.at(-1)
  const answered = loads.map(({ meter }) => Math.round(meter.answered / seconds))
  const rss = row({
    name: `memory.rss.${size}`,
    figure: `RSS of the server under mixed load, from ${size.toLocaleString('en')} leaves on`,
    unit: 'MB',
    ours: Math.max(...samples.map((sample) => sample.rss)),
    goals: [{ of: 'ours', atMost: 250 }],
    note:
      `at the end ${last.rss.toFixed(0)} MB: ${last.anon.toFixed(0)} of its own, ${last.file.toFixed(0)} of mapped files; ` +
      `answers/s: ${answered[0]} entries, ${answered[1]} batches of 500, ${answered[2]} proofs, ${answered[3]} bundles`,
  })
  return seconds < SHORTEST_SOAK_SECONDS ? [rss] : [rss, growthOf(samples, size)]
}

/** Growth between the middles of the second and of the last third: in the first one caches fill. */
function growthOf(samples, size) {
  const third = Math.floor(samples.length / 3)
  const [second, end] = [samples.slice(third, 2 * third), samples.slice(-third)]
  const middle = (some, kind) => median(some.map((sample) => sample[kind]))
  const minutes = (middle(end, 'atMs') - middle(second, 'atMs')) / 60_000
  return row({
    name: `memory.growth.${size}`,
    figure: 'its own pages at the end of that',
    unit: 'MB',
    ours: middle(end, 'anon'),
    baseline: middle(second, 'anon'),
    baselineIs: `${minutes.toFixed(1)} minutes before`,
    note: 'the budget speaks of an hour: npm run bench -- --only memory --soak 3600',
  })
}
