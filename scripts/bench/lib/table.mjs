// Rows as text: for a terminal and for a Markdown page.
import { goalText, withUnit } from './rows.mjs'

const HEAD = ['figure', 'ours', 'baseline', 'ratio', 'goal', 'met']

/** The cells of a row, as every table shows them. */
export function cells(row) {
  const baseline = row.baseline === undefined ? '–' : withUnit(row.baseline, row.unit)
  return [
    row.figure,
    withUnit(row.ours, row.unit),
    row.baselineIs ? `${baseline} ${row.baselineIs}` : baseline,
    row.ratio === undefined ? '–' : row.ratio.toFixed(2),
    row.goals.map((goal) => goalText(goal, row.unit)).join(', ') || '–',
    row.met === undefined ? '–' : row.met ? 'yes' : 'NO',
  ]
}

/** Columns of equal width. */
export function textTable(rows) {
  const lines = [HEAD, ...rows.map(cells)]
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  const shown = lines.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
  shown.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('  '))
  return shown.join('\n')
}

/** The same table, and the notes below it, in Markdown. */
export function markdownTable(rows) {
  const line = (values) => `| ${values.join(' | ')} |`
  const table = [line(HEAD), line(HEAD.map(() => '---')), ...rows.map((row) => line(cells(row)))]
  return table.join('\n')
}

/** What stands below the table: how far the rounds lie apart, notes, and warnings. */
export function noteLines({ rows, warnings }) {
  const notes = rows.flatMap((row) => {
    const apart = row.rounds.ours.length > 1 ? `rounds ±${Math.round((row.spread / 2) * 100)} %` : ''
    const text = [apart, row.note].filter(Boolean).join('; ')
    return text ? [`${row.name}: ${text}`] : []
  })
  return [...notes, ...warnings]
}
