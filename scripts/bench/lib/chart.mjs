// The chart of proto-docs/benchmarks.md: one bar for each figure that has a baseline, as SVG made by hand. Readable on light and dark
// pages: it brings both sets of colours, and no background.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { goalText, withUnit } from './rows.mjs'

const WIDTH = 760
const LABELS = 330
const BARS = 260
const LINE = 30
const TOP = 46
/** Ratio at the right end of the bars. */
const FULL = 1

const STYLE = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .small { font-size: 11px; fill: #59636e }
  .track { fill: #d1d9e0; opacity: .5 } .met { fill: #1a7f5a } .missed { fill: #bc4c00 } .goal { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc } .small { fill: #9198a1 } .track { fill: #3d444d } .met { fill: #3fb984 } .missed { fill: #f0883e } .goal { stroke: #f0f6fc }
  }`

/** What the chart shows, by name, with its label. */
const SHOWN = [
  ['post.rate', 'One entry per request', 'a bare Koa server that only answers'],
  ['batches.append', 'Batches of 1,000, in the process', 'raw LevelDB, same bytes, same syncs'],
  ['batches.http', 'Batches of 1,000, over HTTP', 'raw LevelDB, in the process'],
  ['tiles.rate', 'Tile reads', 'a bare Koa server answering 8 KiB'],
]

/** Draws a kept result. @returns the path */
export async function saveChart(result, folder) {
  const path = join(folder, 'chart.svg')
  await writeFile(path, chartOf(result))
  return path
}

export function chartOf({ rows, machine, date }) {
  const shown = SHOWN.flatMap(([name, label, against]) => {
    const found = rows.find((row) => row.name === name)
    return found ? [{ ...found, label, against }] : []
  })
  const height = TOP + shown.length * (LINE + 14) + 30
  const bars = shown.map((row, i) => bar(row, TOP + i * (LINE + 14)))
  const from = `The mark is the goal. ${machine.cpu}, ${machine.cores} cores for server and load generator together, Node ${machine.node}, ${date.slice(0, 10)}`
  const alt = shown
    .map((row) => `${row.label}: ${withUnit(row.ours, row.unit)}, ${row.ratio.toFixed(2)} of ${row.against}`)
    .join('. ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escape(alt)}">
<style>${STYLE}
</style>
<text class="title" x="0" y="18">Durable, signed, deduplicated: how much of the bare parts is left</text>
${bars.join('\n')}
<text class="small" x="0" y="${height - 8}">${escape(from)}</text>
</svg>
`
}

function bar({ label, against, ours, unit, ratio, goals }, y) {
  const length = (share) => Math.round(BARS * Math.min(1, share / FULL))
  const goal = goals.find(({ of }) => of === 'ratio')?.atLeast
  const reached = goal === undefined || ratio >= goal
  const mark =
    goal === undefined
      ? ''
      : line(LABELS + length(goal), y, `goal ${goalText({ of: 'ratio', atLeast: goal }, unit)}`)
  return `<text x="0" y="${y + 13}">${escape(label)}</text><text class="small" x="0" y="${y + 28}">against ${escape(against)}</text>
<rect class="track" x="${LABELS}" y="${y}" width="${BARS}" height="${LINE}" rx="3"/>
<rect class="${reached ? 'met' : 'missed'}" x="${LABELS}" y="${y}" width="${length(ratio)}" height="${LINE}" rx="3"/>${mark}
<text x="${LABELS + BARS + 12}" y="${y + 20}">${ratio.toFixed(2)} x · ${escape(withUnit(ours, unit))}</text>`
}

function line(x, y, title) {
  return `<line class="goal" x1="${x}" x2="${x}" y1="${y - 4}" y2="${y + LINE + 4}"><title>${escape(title)}</title></line>`
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
