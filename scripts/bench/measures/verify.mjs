// Verifying one proof file after the other, as `stele verify` and a browser do it.
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { runProcess } from '../lib/children.mjs'
import { row } from '../lib/rows.mjs'

export const name = 'verify'
export const title = 'verifying proof files'

const CLIENT = fileURLToPath(new URL('../../../dist/client/index.js', import.meta.url))
const LEAVES = 1_000_000

export async function run({ sizes, space, progress }) {
  const folder = await space.emptyFolder()
  const portable = join(folder, 'client.mjs')
  await writeFile(portable, await portableClient())
  const rows = []
  for (const [key, client] of [
    ['node', CLIENT],
    ['portable', portable],
  ]) {
    const rounds = []
    for (let i = 0; i < sizes.rounds; i++) {
      progress(`round ${i + 1} of ${sizes.rounds}, ${key}`)
      rounds.push(
        await runProcess('verify', {
          client,
          portable: key === 'portable',
          leaves: LEAVES,
          seconds: sizes.seconds,
        }),
      )
    }
    rows.push(rowOf(key, rounds))
  }
  return rows
}

function rowOf(key, rounds) {
  const by = key === 'node' ? "Node's crypto" : 'the portable code of browsers'
  return row({
    name: `verify.${key}`,
    figure: `proof files at ${LEAVES.toLocaleString('en')} leaves verified, ${by}`,
    unit: '/s',
    ours: rounds.map(({ perSecond }) => perSecond),
    baseline: rounds.map(({ rawPerSecond }) => rawPerSecond),
    baselineIs: 'its signature and its hashes alone',
  })
}

/** What a browser gets: the client with nothing of Node's in it. */
async function portableClient() {
  const { outputFiles } = await build({
    entryPoints: [CLIENT],
    bundle: true,
    write: false,
    platform: 'browser',
    format: 'esm',
    logLevel: 'silent',
  })
  return outputFiles[0].text
}
