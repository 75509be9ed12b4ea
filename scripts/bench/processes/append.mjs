// Appends to a log without HTTP: `Log.append` of a data folder, in this process. Says how fast it was, how long the
// longest pause was, and what the process weighs.
import { DEFAULTS } from '../lib/settings.mjs'
import { entries } from '../lib/payload.mjs'
import { memoryOf } from '../lib/proc.mjs'
import { openStoredLog } from '../../../dist/instance/open-log.js'

/**
 * @type {{ data: string, entries: number, batch: number, inFlight: number, kind?: 'random' | 'audit', seed: string,
 *   first?: number, rate?: number, slice?: number }}
 *   first: number of the first entry; rate: entries a second, as many as go if left out; slice: entries between two
 *   marks of the clock
 */
const task = JSON.parse(process.argv[2])
const { first = 0, batch, slice = task.entries } = task

const log = await openStoredLog(task.data, 'main', DEFAULTS)
const entryOf = entries(task.kind ?? 'random', task.seed)
const end = first + task.entries
const startSize = log.integrated.size
const startedMs = performance.now()

let next = first
let appended = 0
let lastMs = startedMs
let longestPauseMs = 0
let longestWaitMs = 0
const waits = []
/** Milliseconds since the start at which each slice was complete. */
const marks = []

if (task.rate === undefined) await Promise.all(Array.from({ length: task.inFlight }, asFastAsItGoes))
else await atARate(task.rate)

const seconds = (performance.now() - startedMs) / 1000
const memory = memoryOf('self')
const { commits } = log.status
await log.close()
if (log.integrated.size - startSize !== task.entries) throw new Error('not every entry was new')
say({
  perSecond: task.entries / seconds,
  seconds,
  marks,
  longestPauseMs,
  longestWaitMs,
  medianWaitMs: waits.toSorted((a, b) => a - b)[Math.floor(waits.length / 2)],
  commits,
  memory,
})

async function asFastAsItGoes() {
  while (next < end) await appendOne(performance.now())
}

/** Batches are due at fixed times, and their time runs from then on: a stall does not make its own figure better. */
async function atARate(rate) {
  const all = []
  for (let dueMs = startedMs; next < end; dueMs += (batch / rate) * 1000) {
    const early = dueMs - performance.now()
    // Also when late: settled batches must get their turn.
    await new Promise((resolve) => (early > 1 ? setTimeout(resolve, early) : setImmediate(resolve)))
    all.push(appendOne(dueMs))
  }
  await Promise.all(all)
}

async function appendOne(dueMs) {
  const from = next
  const count = Math.min(batch, end - from)
  next += count
  await log.append(Array.from({ length: count }, (_, i) => entryOf(from + i)))
  settled(count, performance.now(), dueMs)
}

function settled(count, nowMs, dueMs) {
  // With several batches waiting at all times, the time between two answers is what a commit took, stalls included.
  longestPauseMs = Math.max(longestPauseMs, nowMs - lastMs)
  longestWaitMs = Math.max(longestWaitMs, nowMs - dueMs)
  waits.push(nowMs - dueMs)
  lastMs = nowMs
  const before = appended
  appended += count
  if (Math.floor(appended / slice) === Math.floor(before / slice)) return
  marks.push(nowMs - startedMs)
  say({ progress: `${appended} of ${task.entries} entries` })
}

function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}
