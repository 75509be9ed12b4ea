// Opening a log: everything is checked, and yet it must not grow with the log.
import { EntrySource, Load, parseTarget, Sample, Writers } from '../../../dist/cli/load/index.js'
import { runProcess, startStele } from '../lib/children.mjs'
import { sleep } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { row } from '../lib/rows.mjs'

const GOAL = [{ of: 'ours', atMost: 300 }]

export const name = 'opening'
export const title = 'opening a log'

export async function run(context) {
  const { sizes, kind, space, progress } = context
  const logSizes = [sizes.smallLog, sizes.largeLog, ...(kind === 'long' ? [sizes.sustained] : [])]
  const rows = []
  for (const size of logSizes) {
    const data = await space.logOf(size, (text) => progress(`making a log, ${text}`))
    progress(`${size} entries`)
    const [base, ours] = [[], []]
    for (let i = 0; i < sizes.openings; i++) {
      base.push((await runProcess('open', { data, what: 'databases' })).ms)
      ours.push((await runProcess('open', { data, what: 'log' })).ms)
    }
    rows.push(
      row({
        name: `opening.${size}`,
        figure: `opening a log of ${size.toLocaleString('en')} entries`,
        unit: 'ms',
        ours,
        baseline: base,
        baselineIs: 'its two LevelDBs alone',
        goals: GOAL,
      }),
    )
  }
  progress('after a kill')
  rows.push(await afterKill(context))
  return rows
}

/** The process ends in the midst of writing: LevelDB replays its write-ahead logs, and the leaf index catches up. */
async function afterKill({ sizes, space }) {
  const times = []
  for (let i = 0; i < Math.min(3, sizes.openings); i++) {
    const data = await space.dataFolder('main')
    const server = await startStele(data)
    const exchange = (target) =>
      new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(1)).exchange(1000)
    await killedWhile(server, exchange, sizes)
    times.push((await runProcess('open', { data, what: 'log' })).ms)
    await space.remove(data)
  }
  return row({
    name: 'opening.killed',
    figure: 'opening one whose server was killed under load',
    unit: 'ms',
    ours: times,
    note: `longest ${Math.max(...times).toFixed(0)} ms`,
  })
}

async function killedWhile(server, exchange, { seconds }) {
  const target = parseTarget(`${server.url}/logs/main`)
  const load = new Load({ target, connections: 4, exchange: () => exchange(target) })
  load.start()
  await sleep(seconds)
  await server.kill()
  await load.stop()
}
