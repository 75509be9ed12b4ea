// Kept results: one file a run, and two of them side by side.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { machineLine } from './machine.mjs'
import { withUnit } from './rows.mjs'
import { markdownTable, noteLines } from './table.mjs'

/** Writes a result as JSON, and as Markdown for people. @returns the path of the former */
export async function saveResult(result, folder) {
  await mkdir(folder, { recursive: true })
  const name = `${result.date.slice(0, 16).replace(':', '')}-${result.kind}`
  const path = join(folder, `${name}.json`)
  await writeFile(path, `${JSON.stringify(result, null, 1)}\n`)
  await writeFile(join(folder, `${name}.md`), markdownOf(result))
  return path
}

function markdownOf(result) {
  const notes = noteLines(result)
    .map((line) => `- ${line}`)
    .join('\n')
  const title = `# Benchmark of ${result.date.slice(0, 10)} (${result.kind})`
  return `${title}\n\n${machineLine(result.machine)}.\n\n${markdownTable(result.rows)}\n\n${notes}\n`
}

export async function readResult(path) {
  return JSON.parse(await readFile(path, 'utf8'))
}

/** Two results as text: what each figure was, is, and how the ratios to their baselines moved. */
export function comparison(before, after) {
  const lines = after.rows.flatMap((row) => {
    const old = before.rows.find(({ name }) => name === row.name)
    if (!old) return [`${row.name.padEnd(28)} ${withUnit(row.ours, row.unit)} (new)`]
    const moved = `${withUnit(old.ours, row.unit)} -> ${withUnit(row.ours, row.unit)} (x ${(row.ours / old.ours).toFixed(2)})`
    const ratio =
      row.ratio === undefined || old.ratio === undefined
        ? ''
        : `ratio ${old.ratio.toFixed(2)} -> ${row.ratio.toFixed(2)}`
    return [`${row.name.padEnd(28)} ${moved.padEnd(44)} ${ratio}`.trimEnd()]
  })
  const gone = before.rows
    .filter(({ name }) => !after.rows.some((row) => row.name === name))
    .map(({ name }) => `${name} (gone)`)
  return [
    `a: ${before.date} ${machineLine(before.machine)}`,
    `b: ${after.date} ${machineLine(after.machine)}`,
    '',
    ...lines,
    ...gone,
  ].join('\n')
}
