// Recomputing a log from its first entry: must be several times faster than appending, or no auditor catches up.
import { join } from 'node:path'
import { runProcess, startStele } from '../lib/children.mjs'
import { row } from '../lib/rows.mjs'
import { exportLog, FolderTarget, HttpFiles, openLogClient, parseVerifierKey } from '../lib/stele.mjs'

export const name = 'audit'
export const title = 'auditing a log'

const GOALS = [{ of: 'ratio', atLeast: 3 }]

export async function run(context) {
  const { sizes, space, progress } = context
  const size = sizes.batchEntries
  progress(`making a log of ${size}`)
  const data = await space.logOf(size)
  const server = await startStele(data)
  const [{ verifierKey }] = (await (await fetch(`${server.url}/v1/logs`)).json()).logs
  const url = `${server.url}/logs/main`
  const { origin } = await openLogClient({ url, verifierKey }).checkpoint()
  const folder = join(await space.emptyFolder(), 'public')
  await exportTo(folder, { url, origin, verifierKey })
  const found = { append: [], url: [], folder: [] }
  for (let i = 0; i < sizes.rounds; i++) {
    const round = `round ${i + 1} of ${sizes.rounds}`
    progress(`${round}, appending`)
    found.append.push(await appended(context, size))
    const log = { origin, verifierKey, size }
    progress(`${round}, over HTTP`)
    found.url.push(await runProcess('audit', { url, ...log }))
    progress(`${round}, from a folder`)
    found.folder.push(await runProcess('audit', { folder, ...log }))
  }
  await server.stop()
  return [rowOf('http', 'over HTTP', found.url, found), rowOf('folder', 'from a folder', found.folder, found)]
}

function rowOf(key, from, ours, { append }) {
  return row({
    name: `audit.${key}`,
    figure: `entries audited ${from}, by one core's time`,
    unit: '/s',
    ours: ours.map(({ perCore }) => perCore),
    baseline: append.map(({ perSecond }) => perSecond),
    baselineIs: 'Log.append, batches of 1,000',
    goals: GOALS,
    note: `${Math.round(ours.at(-1).perSecond)}/s by the clock`,
  })
}

function exportTo(folder, { url, origin, verifierKey }) {
  const files = new HttpFiles(url, {}, { deadlineMs: 10_000 })
  return exportLog({
    files,
    origin,
    verifierKeys: [parseVerifierKey(verifierKey)],
    target: new FolderTarget(folder),
    onProgress: () => {},
  })
}

async function appended({ space }, entries) {
  const data = await space.dataFolder('main')
  const result = await runProcess('append', { data, entries, batch: 1000, inFlight: 2, seed: 'append' })
  await space.remove(data)
  return result
}
