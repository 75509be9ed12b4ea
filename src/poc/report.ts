import type { Paint } from '../cli/output/terminal.ts'
import { counted, formatSeconds } from '../cli/output/units.ts'
import { countOf, exitCodeOf, type Outcome, type Sighting, type SuiteReport, type Trial } from './suite.ts'
import { ORIGIN } from './setting.ts'

const HEADINGS = ['attack', 'who noticed', 'how fast', 'by which fact'] as const
/** The width used if the width of the terminal is unknown. */
const PLAIN_WIDTH = 120
const LONGEST_OUTCOME = 14

/** The words for each outcome. */
const WORDS: Readonly<Record<Outcome, string>> = {
  caught: 'caught',
  not_caught: 'not caught',
  unnoticed: 'UNNOTICED',
  undocumented: 'UNDOCUMENTED',
  control_failed: 'CONTROL FAILED',
}

function colourOf(outcome: Outcome, paint: Paint): (text: string) => string {
  if (outcome === 'caught') return paint.green
  return outcome === 'not_caught' ? paint.yellow : paint.red
}

/** One line for a finished attack. */
export function trialLine({ outcome, attack, title }: Trial, nameWidth: number, paint: Paint): string {
  const word = colourOf(outcome, paint)(WORDS[outcome].padEnd(LONGEST_OUTCOME))
  return `${word}  ${attack.padEnd(nameWidth)}  ${title}`
}

/** The whole table: a row for each party that noticed, or one row for an attack that no party noticed. */
export function table(report: SuiteReport, columns: number | undefined, paint: Paint): string[] {
  const rows = report.trials.flatMap((trial) => rowsOf(trial))
  const widths = [0, 1, 2].map((i) =>
    Math.max(...[HEADINGS, ...rows.map(({ cells }) => cells)].map((row) => row[i]!.length)),
  )
  const factWidth = Math.max(
    30,
    (columns ?? PLAIN_WIDTH) - 1 - widths.reduce((sum, width) => sum + width + 2, 0),
  )
  const line = (cells: readonly string[], paintFact = (text: string) => text): string => {
    const [attack, who, fast, fact] = cells
    const left = [attack!.padEnd(widths[0]!), who!.padEnd(widths[1]!), fast!.padStart(widths[2]!)].join('  ')
    return `${left}  ${paintFact(cut(fact!, factWidth))}`.trimEnd()
  }
  return [
    paint.bold(line(HEADINGS)),
    ...rows.map(({ cells, outcome }) => line(cells, colourFact(outcome, paint))),
  ]
}

function colourFact(outcome: Outcome, paint: Paint): (text: string) => string {
  if (outcome !== 'caught') return colourOf(outcome, paint)
  return (text) => text.replace(/^[a-z_]+/, paint.green)
}

interface Row {
  readonly cells: readonly [string, string, string, string]
  readonly outcome: Outcome
}

function rowsOf({ attack, outcome, sightings, reason, folder }: Trial): Row[] {
  if (outcome === 'control_failed') {
    return [{ cells: [attack, '-', '-', `before the attack: ${brief(reason ?? '', folder)}`], outcome }]
  }
  if (outcome === 'not_caught') {
    return [{ cells: [attack, 'nobody', '-', 'as documented: proto-docs/threat-model.md'], outcome }]
  }
  const shown = sightings.filter(({ expected, notice }) => expected !== undefined || notice)
  return shown.map((sighting, i) => ({
    cells: [i === 0 ? attack : '', sighting.by, `${Math.ceil(sighting.tookMs)} ms`, factOf(sighting, folder)],
    outcome: sighting.notice?.code === sighting.expected ? 'caught' : outcome,
  }))
}

function factOf({ expected, notice }: Sighting, folder: string): string {
  const said = notice ? `${notice.code}: ${brief(notice.message, folder)}` : 'nothing'
  if (notice?.code === expected) return said
  return `expected ${expected ?? 'nothing'}, got ${said}`
}

/** Shortens a message for the table: abbreviates hashes and addresses, removes folders. */
function brief(message: string, folder: string): string {
  return message
    .replaceAll(`${folder}/`, '')
    .replaceAll(`log ${ORIGIN}: `, '')
    .replaceAll(` of ${ORIGIN}`, '')
    .replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, '')
    .replaceAll(/\b([0-9a-f]{8})[0-9a-f]{24,}\b/g, '$1…')
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1).trimEnd()}…`
}

/** A summary in one sentence. */
export function summary(report: SuiteReport): string {
  const parts = [
    `${counted(report.trials.length, 'attack')} in ${formatSeconds(report.tookMs / 1000)}`,
    `${countOf(report, 'caught')} caught by all who should catch them`,
    `${countOf(report, 'not_caught')} not caught, as documented`,
  ]
  const wrong = countOf(report, 'unnoticed', 'undocumented')
  const broken = countOf(report, 'control_failed')
  if (wrong > 0) parts.push(`${wrong} NOT AS DOCUMENTED`)
  if (broken > 0) parts.push(`${broken} NOT SHOWN, since a check failed before the attack`)
  return parts.join(', ')
}

/** One attack, as JSON output. */
export function trialJson(
  { attack, title, outcome, sightings, reason, tookMs, ...where }: Trial,
  kept: boolean,
): object {
  const seen = sightings.map(({ by, expected, notice, tookMs: ms }) => ({
    by,
    expected: expected ?? null,
    fact: notice?.code ?? null,
    message: notice?.message ?? null,
    ms: Math.round(ms * 10) / 10,
  }))
  return { attack, title, outcome, sightings: seen, reason, ms: Math.round(tookMs), ...(kept ? where : {}) }
}

/** The summary, as JSON output. */
export function summaryJson(report: SuiteReport): object {
  return {
    summary: true,
    attacks: report.trials.length,
    caught: countOf(report, 'caught'),
    notCaught: countOf(report, 'not_caught'),
    notAsDocumented: countOf(report, 'unnoticed', 'undocumented'),
    notShown: countOf(report, 'control_failed'),
    ms: Math.round(report.tookMs),
    exitCode: exitCodeOf(report),
  }
}
