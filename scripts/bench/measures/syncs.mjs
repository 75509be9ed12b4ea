// Proof that what is acknowledged was synced: the server's system calls, counted by strace.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { EntrySource, Sample, Writers } from '../../../dist/load/index.js'
import { startStele } from '../lib/children.mjs'
import { loaded } from '../lib/load.mjs'
import { ENTRY_BYTES } from '../lib/payload.mjs'
import { childrenOf } from '../lib/proc.mjs'
import { row } from '../lib/rows.mjs'

const CALLS = 'fdatasync,fsync,pwrite64,write'

export const name = 'syncs'
export const title = 'proof of syncs'

export async function run(context) {
  if (!straceWorks()) {
    context.warn('syncs: skipped, for strace is not installed or may not trace here')
    return []
  }
  const rows = []
  for (const [connections, label] of [
    [1, 'one connection'],
    [256, '256 connections'],
  ]) {
    context.progress(label)
    rows.push(await counted(context, connections, label))
  }
  return rows
}

async function counted({ sizes, space }, connections, label) {
  const counts = join(await space.emptyFolder(), 'counts')
  const data = await space.dataFolder('main')
  const wrap = ['strace', '-f', '-c', '-e', `trace=${CALLS}`, '-o', counts]
  const server = await startStele(data, { wrap })
  const exchange = (target) => new Writers(target, new EntrySource(ENTRY_BYTES), new Sample(16)).exchange(1)
  await loaded({ server, connections, seconds: sizes.seconds, warmup: 0, exchange })
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  // strace would let go of the server and end; the server itself is its only child.
  for (const pid of childrenOf(server.pid)) process.kill(pid, 'SIGTERM')
  await server.ended()
  const calls = parseCounts(await readFile(counts, 'utf8'))
  const commits = metricOf(metrics, 'stele_commits_total')
  const entries = metricOf(metrics, 'stele_tree_size')
  const syncs = (calls.fdatasync ?? 0) + (calls.fsync ?? 0)
  return row({
    name: `syncs.${connections}`,
    figure: `syncs per commit, ${label}`,
    unit: '',
    ours: syncs / commits,
    // The database for each commit, and the head file: of commits that follow closely it takes only the newest head, so
    // one sync may cover several. Those of the leaf index and of LevelDB's table files come on top.
    goals: [{ of: 'ours', atLeast: connections === 1 ? 2 : 1 }],
    note:
      `under strace: ${entries} entries in ${commits} commits (${(entries / commits).toFixed(1)} entries a commit), ` +
      Object.entries(calls)
        .map(([call, count]) => `${count} ${call}`)
        .join(', '),
  })
}

function straceWorks() {
  try {
    execFileSync('strace', ['-f', '-c', '-o', '/dev/null', process.execPath, '--version'], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}

/** The summary of `strace -c`: share, seconds, microseconds a call, calls, errors if any, name. */
function parseCounts(text) {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const known = CALLS.split(',')
  return Object.fromEntries(
    lines.filter((line) => known.includes(line.at(-1))).map((line) => [line.at(-1), Number(line[3])]),
  )
}

function metricOf(text, metric) {
  return Number(new RegExp(`^${metric}\\{[^}]*\\} (\\d+)`, 'm').exec(text)?.[1])
}
