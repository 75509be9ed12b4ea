// A log that grows large: does it stay as fast, does it stall, what does it weigh in memory and on disk.
import { runProcess } from '../lib/children.mjs'
import { bytesOnDisk } from '../lib/data.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'
import { join } from 'node:path'

const BATCH = 1000
const IN_FLIGHT = 4
const SMALL_BATCH = 64

export const name = 'sustained'
export const title = 'a log that grows large'

export async function run(context) {
  const { sizes, space, progress } = context
  const size = sizes.sustained
  const slice = Math.max(size / 20, 5 * BATCH)
  const data = await space.dataFolder('main')
  const task = { data, batch: BATCH, inFlight: IN_FLIGHT, seed: 'log', slice }
  const full = await runProcess('append', { ...task, entries: size }, (text) =>
    progress(`at saturation, ${text}`),
  )
  const perEntry = (await weight(data)) / size - ENTRY_BYTES
  const [early, late] = rates(full.marks, slice)
  const half = await runProcess(
    'append',
    { ...task, first: size, entries: size / 5, rate: late / 2 },
    (text) => progress(`at half of it, ${text}`),
  )
  await space.remove(data)
  progress(`on disk, batches of ${SMALL_BATCH}`)
  const small = await smallBatches(context)
  const at = size.toLocaleString('en')
  return [
    row({
      name: 'sustained.rate',
      figure: `entries in batches of ${BATCH}, at ${at} entries`,
      unit: '/s',
      ours: late,
      baseline: early,
      baselineIs: `at ${(2 * slice).toLocaleString('en')}`,
      goals: [{ of: 'ratio', atLeast: 0.7 }],
      note: `by ${slice.toLocaleString('en')} entries: ${slices(full.marks, slice)
        .map((rate) => Math.round(rate / 1000))
        .join(' ')} thousand/s`,
    }),
    row({
      name: 'sustained.pause',
      figure: 'longest time between two commits at saturation',
      unit: 'ms',
      ours: full.longestPauseMs,
      goals: [{ of: 'ours', atMost: 300 }],
      note: `${Math.round(size / full.commits)} entries a commit; a batch waited ${full.medianWaitMs.toFixed(1)} ms, longest ${full.longestWaitMs.toFixed(0)} ms`,
    }),
    row({
      name: 'sustained.half',
      figure: 'longest wait of a batch at half of that rate',
      unit: 'ms',
      ours: half.longestWaitMs,
      goals: [{ of: 'ours', atMost: 50 }],
      note: `${Math.round(half.perSecond).toLocaleString('en')} entries/s; median ${half.medianWaitMs.toFixed(1)} ms`,
    }),
    row({
      name: 'sustained.memory',
      figure: `RSS of the appending process at ${at} entries`,
      unit: 'MB',
      ours: full.memory?.peak ?? NaN,
      note: memoryNote(full.memory),
    }),
    row({
      name: 'disk.large',
      figure: `bytes on disk per entry beyond its own, batches of ${BATCH}`,
      unit: 'B',
      ours: perEntry,
      goals: [{ of: 'ours', atMost: 120 }],
    }),
    row({
      name: 'disk.small',
      figure: `the same, batches of ${SMALL_BATCH}`,
      unit: 'B',
      ours: small,
      goals: [{ of: 'ours', atMost: 120 }],
    }),
  ]
}

/** Rates over the second and third, and over the last two twentieths; the first one holds the warm-up. */
function rates(marks, slice) {
  const all = slices(marks, slice)
  const mean = (two) => two.length / two.reduce((sum, rate) => sum + 1 / rate, 0)
  return [mean(all.slice(1, 3)), mean(all.slice(-2))]
}

function slices(marks, slice) {
  return marks.map((ms, i) => slice / ((ms - (marks[i - 1] ?? 0)) / 1000))
}

async function smallBatches({ sizes, space }) {
  const data = await space.dataFolder('main')
  const entries = Math.floor(sizes.batchEntries / SMALL_BATCH) * SMALL_BATCH
  await runProcess('append', { data, entries, batch: SMALL_BATCH, inFlight: 1, seed: 'small' })
  const perEntry = (await weight(data)) / entries - ENTRY_BYTES
  await space.remove(data)
  return perEntry
}

/**
 * Database, index and head file, after one more opening: LevelDB leaves files that a compaction has replaced until then,
 * and how many depends on the moment of closing.
 */
async function weight(data) {
  await runProcess('open', { data, what: 'log' })
  return bytesOnDisk(join(data, 'logs', 'main'))
}

function memoryNote(memory) {
  if (!memory) return 'not known on this system'
  return `at the end ${memory.rss.toFixed(0)} MB: ${memory.anon.toFixed(0)} of its own, ${memory.file.toFixed(0)} of mapped files`
}
