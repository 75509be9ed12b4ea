// One row of the table: a figure, its baseline, and what was hoped for.
import { median, spread } from './stats.mjs'

/**
 * @typedef {object} Goal
 * @property {'ours' | 'ratio'} of what it is about
 * @property {number} [atLeast]
 * @property {number} [atMost]
 */

/**
 * @typedef {object} Row
 * @property {string} name stays the same from version to version, for comparisons
 * @property {string} figure
 * @property {string} unit
 * @property {number} ours median of the rounds
 * @property {number} [baseline] likewise
 * @property {string} [baselineIs]
 * @property {number} [ratio] ours / baseline: the median over the pairs of one round
 * @property {Goal[]} goals none for a figure that is only told
 * @property {boolean} [met]
 * @property {string} [note]
 * @property {number} spread of our rounds: (largest - smallest) / median
 * @property {{ ours: number[], baseline: number[] }} rounds
 */

/**
 * @param {{ name: string, figure: string, unit: string, ours: number | number[], baseline?: number | number[],
 *   baselineIs?: string, goals?: Goal[], note?: string }} parts
 * @returns {Row}
 */
export function row({ ours, baseline = [], goals = [], ...parts }) {
  const rounds = { ours: [ours].flat(), baseline: [baseline].flat() }
  const pairs = rounds.baseline.map((base, i) => rounds.ours[i] / base)
  const figures = {
    ours: median(rounds.ours),
    ...(pairs.length > 0 ? { baseline: median(rounds.baseline), ratio: median(pairs) } : {}),
  }
  const met = goals.length > 0 ? { met: goals.every((goal) => isMet(figures[goal.of], goal)) } : {}
  return { ...parts, ...figures, goals, ...met, spread: spread(rounds.ours), rounds }
}

function isMet(value, { atLeast = -Infinity, atMost = Infinity }) {
  return value >= atLeast && value <= atMost
}

/** A goal in words: "≥ 0.60 x", "≤ 15.0 ms". */
export function goalText({ of, atLeast, atMost }, unit) {
  const value = atLeast ?? atMost
  const shown = of === 'ratio' ? `${value.toFixed(2)} x` : withUnit(value, unit)
  return `${atLeast === undefined ? '≤' : '≥'} ${shown}`
}

/** A figure with its unit: "33,120/s", "1.84 ms". */
export function withUnit(value, unit) {
  const number =
    value >= 100 ? String(Math.round(value)).replaceAll(/\B(?=(\d{3})+(?!\d))/g, ',') : precise(value)
  return unit.startsWith('/') ? `${number}${unit}` : `${number} ${unit}`.trim()
}

function precise(value) {
  if (Number.isInteger(value)) return String(value)
  return value.toFixed(value >= 10 ? 1 : 2)
}
