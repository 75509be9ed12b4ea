// Cosignatures of a witness, each on disk before it leaves: one log, whose requests go one after the other by protocol, and
// many logs, whose requests share syncs.
import { join } from 'node:path'
import { runProcess } from '../lib/children.mjs'
import { row } from '../lib/rows.mjs'

export const name = 'witness'
export const title = "a witness's cosignatures"

export async function run({ sizes, space, progress }) {
  const { witnessLogs, witnessUpdates, witnessRounds } = sizes
  const rows = []
  for (const postQuantum of [false, true]) {
    for (const [logs, updates] of [
      [1, witnessUpdates],
      [witnessLogs, witnessRounds],
    ]) {
      const [base, ours] = [[], []]
      for (let i = 0; i < sizes.rounds; i++) {
        progress(
          `round ${i + 1} of ${sizes.rounds}, ${logs} logs${postQuantum ? ', ML-DSA-44 beside Ed25519' : ''}`,
        )
        base.push(await once(space, { logs, updates, postQuantum, what: 'raw' }))
        ours.push(await once(space, { logs, updates, postQuantum, what: 'witness' }))
      }
      rows.push(rowOf({ logs, postQuantum, base, ours }))
    }
  }
  return rows
}

async function once(space, task) {
  const folder = await space.emptyFolder()
  const result = await runProcess('witness', { folder: join(folder, 'state'), ...task })
  await space.remove(folder)
  return result
}

function rowOf({ logs, postQuantum, base, ours }) {
  const of = logs === 1 ? 'one log' : `${logs.toLocaleString('en')} logs`
  return row({
    name: `witness.${logs === 1 ? 'one' : 'many'}${postQuantum ? '.ml-dsa' : ''}`,
    figure: `add-checkpoint, ${of}, ${postQuantum ? 'Ed25519 and ML-DSA-44' : 'Ed25519'}`,
    unit: '/s',
    ours: ours.map(({ perSecond }) => perSecond),
    baseline: base.map(({ perSecond }) => perSecond),
    baselineIs: 'its two syncs alone',
    note: `${Math.round(ours.at(-1).cpuMicros)} µs of processor time each`,
  })
}
