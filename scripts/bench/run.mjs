// `npm run bench`: every budget of the design, measured against a baseline in the same run.
// proto-docs/benchmarks.md says how, and what each figure means.
import { existsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { argv, exit, stderr, stdout } from 'node:process'
import { fileURLToPath } from 'node:url'
import { HELP, parseOptions } from './lib/options.mjs'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const RESULTS = join(ROOT, 'scripts', 'bench', 'results')
/** Magic numbers of file systems in memory. */
const IN_MEMORY = [0x01021994, 0x858458f6]

const options = readOptions()
if (options.help) stdout.write(HELP)
else if (options.compare) await compareFiles(options.files)
else if (options.chart !== undefined) await drawChart(options.chart)
else await measure()

function readOptions() {
  try {
    return parseOptions(argv.slice(2))
  } catch (error) {
    stderr.write(`${error.message}\n\n${HELP}`)
    return exit(64)
  }
}

async function measure() {
  if (!existsSync(join(ROOT, 'dist', 'cli', 'main.js'))) {
    stderr.write('dist/ is not there: run "npm ci" or "npm run build" first\n')
    exit(1)
  }
  const { runAll } = await import('./lib/run-all.mjs')
  const { textTable, noteLines } = await import('./lib/table.mjs')
  const { machineLine } = await import('./lib/machine.mjs')
  const folder = resolve(options.folder)
  const { type } = await statfs(folder)
  if (IN_MEMORY.includes(type))
    stderr.write(`${folder} is in memory: nothing is synced there; see --folder\n`)
  const result = await runAll({ ...options, folder }, ROOT)
  if (options.json) stdout.write(`${JSON.stringify(result)}\n`)
  else
    stdout.write(
      `${machineLine(result.machine)}\n\n${textTable(result.rows)}\n\n${noteLines(result).join('\n')}\n`,
    )
  if (options.save) {
    const { saveResult } = await import('./lib/results.mjs')
    stderr.write(`kept as ${await saveResult(result, RESULTS)}\n`)
  }
}

async function compareFiles(files) {
  const { comparison, readResult } = await import('./lib/results.mjs')
  if (files.length !== 2) {
    stderr.write('--compare: expected two files\n')
    exit(64)
  }
  const [a, b] = await Promise.all(files.map(readResult))
  stdout.write(`${comparison(a, b)}\n`)
}

async function drawChart(file) {
  const { readResult } = await import('./lib/results.mjs')
  const { saveChart } = await import('./lib/chart.mjs')
  stdout.write(`drawn: ${await saveChart(await readResult(file), RESULTS)}\n`)
}
