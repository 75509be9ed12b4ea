// Runs the measurements one after the other and puts their rows together.
import { stderr } from 'node:process'
import { MEASURES } from '../measures/index.mjs'
import { Workspace } from './data.mjs'
import { DISTURBED_CORES, Patience } from './patience.mjs'
import { describeMachine } from './machine.mjs'
import { watchOthers } from './proc.mjs'
import { Progress } from './progress.mjs'

/**
 * @param {import('./options.mjs').Options} options
 * @param {string} root of the repository
 */
export async function runAll(options, root) {
  const measures = chosen(options.only)
  const machine = await describeMachine(options.folder, root)
  const space = await Workspace.make(options.folder)
  // Ctrl-C must not leave gigabytes behind.
  const abort = () => void space.removeAll().finally(() => process.exit(130))
  process.once('SIGINT', abort)
  const progress = new Progress()
  const result = {
    date: new Date().toISOString(),
    kind: options.kind,
    machine,
    rows: [],
    warnings: [],
    others: {},
  }
  const patience = new Patience(options.patience * 60, (text) => progress.step(text))
  try {
    for (const measure of measures) {
      progress.section(measure.title)
      const attempt = () => measured(measure, { ...options, space, progress: (text) => progress.step(text) })
      const { rows, warnings, others } = await patience.quietest(attempt)
      result.rows.push(...rows)
      result.warnings.push(...warnings, ...disturbance(measure.name, others))
      result.others[measure.name] = others
    }
  } finally {
    progress.end()
    process.off('SIGINT', abort)
    await space.removeAll()
  }
  return result
}

async function measured(measure, { sizes, kind, space, progress }) {
  const warnings = []
  const others = watchOthers()
  const rows = await measure.run({ sizes, kind, space, progress, warn: (text) => warnings.push(text) })
  return { rows, warnings, others: others() }
}

function chosen(only) {
  if (!only) return MEASURES
  const unknown = only.filter((name) => !MEASURES.some((measure) => measure.name === name))
  if (unknown.length > 0) {
    stderr.write(
      `--only: there is no ${unknown.join(', ')}; there are ${MEASURES.map(({ name }) => name).join(', ')}\n`,
    )
    process.exit(64)
  }
  return MEASURES.filter(({ name }) => only.includes(name))
}

function disturbance(name, cores) {
  if (cores === undefined || cores < DISTURBED_CORES) return []
  return [`${name}: disturbed, others kept ${cores.toFixed(2)} cores busy meanwhile`]
}
