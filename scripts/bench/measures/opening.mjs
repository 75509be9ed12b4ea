// Opening a log: everything is checked, and yet it must not grow with the log.
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EntrySource, Load, parseTarget, Sample, Writers } from '../../../dist/load/index.js'
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
  progress('after a kill with a long write-ahead log')
  rows.push(await withLongLog(context))
  progress('with a lost leaf index')
  rows.push(await withoutIndex(context))
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

/** The process ends with 16 MiB in LevelDB's write-ahead log: all of it is compared with its checksums, and replayed. */
async function withLongLog({ sizes, space }) {
  const data = await space.dataFolder('main')
  await runProcess('fill-wal', { data })
  const times = { databases: [], log: [] }
  for (let i = 0; i < sizes.openings; i++) {
    for (const what of ['databases', 'log']) {
      const copy = join(await space.emptyFolder(), 'stele')
      await cp(data, copy, { recursive: true })
      times[what].push((await runProcess('open', { data: copy, what })).ms)
      await space.remove(copy)
    }
  }
  await space.remove(data)
  return row({
    name: 'opening.long-wal',
    figure: 'opening one that was killed with 16 MiB in its write-ahead log',
    unit: 'ms',
    ours: times.log,
    baseline: times.databases,
    baselineIs: 'its two LevelDBs alone',
  })
}

/** The leaf index is rebuilt behind a server that listens. The start of Node counts here, in both. */
async function withoutIndex({ sizes, space, progress }) {
  const made = await space.logOf(sizes.largeLog, (text) => progress(`making a log, ${text}`))
  const data = join(await space.emptyFolder(), 'stele')
  await cp(made, data, { recursive: true })
  const times = { kept: [], lost: [] }
  for (const what of ['kept', 'lost']) {
    for (let i = 0; i < sizes.openings; i++) {
      if (what === 'lost') await rm(join(data, 'logs', 'main', 'leaf-index'), { recursive: true })
      const startedMs = performance.now()
      const server = await startStele(data)
      times[what].push(performance.now() - startedMs)
      await server.kill()
    }
  }
  await space.remove(data)
  return row({
    name: 'opening.lost-index',
    figure: `until a server listens whose log of ${sizes.largeLog.toLocaleString('en')} entries has lost its leaf index`,
    unit: 'ms',
    ours: times.lost,
    baseline: times.kept,
    baselineIs: 'the same with its leaf index',
    goals: [{ of: 'ours', atMost: 1000 }],
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
