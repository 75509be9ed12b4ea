// What `npm run bench -- …` can be told, and what each length of a run means.
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'

export const HELP = `npm run bench -- [options]

  --smoke            seconds, no figure means anything: whether it runs at all
  --quick            about a minute: whether everything works, no figure to believe
  --long             sustained to 10,000,000 entries, and everything that follows from it; about half an hour
  --only <name,...>  some of the measurements: post, batches, access, sustained, lone, witness, proofs, tiles, audit,
                     verify, opening, memory, crowd, syncs
  --folder <path>    where data folders are made (default: the system's folder for temporary files). A file system in
                     memory has nothing to sync to, and its figures mean nothing
  --soak <seconds>   how long memory is watched under load
  --patient <minutes>  wait for the machine to be quiet before each measurement, at most this long in all, and repeat
                     what was disturbed nevertheless
  --save             keep the result as scripts/bench/results/<date>.json, with a table beside it
  --json             the result as JSON on standard output, instead of the table
  --compare <a> <b>  two kept results side by side; measures nothing
  --chart <a>        draw scripts/bench/results/chart.svg from a kept result; measures nothing
  --help
`

/** Sizes of the three kinds of run. Times in seconds, sizes in entries. */
const SIZES = {
  smoke: {
    rounds: 1,
    seconds: 0.3,
    warmup: 0.1,
    batchEntries: 4000,
    sustained: 20_000,
    smallLog: 500,
    largeLog: 2000,
    loneSeconds: 0.5,
    openings: 1,
    soak: 1,
    witnessUpdates: 20,
    witnessLogs: 40,
    witnessRounds: 2,
  },
  quick: {
    rounds: 1,
    seconds: 1.5,
    warmup: 0.5,
    batchEntries: 30_000,
    sustained: 200_000,
    smallLog: 10_000,
    largeLog: 100_000,
    loneSeconds: 3,
    openings: 3,
    soak: 5,
    witnessUpdates: 300,
    witnessLogs: 1000,
    witnessRounds: 5,
  },
  normal: {
    rounds: 3,
    seconds: 2.5,
    warmup: 1,
    batchEntries: 250_000,
    sustained: 1_000_000,
    smallLog: 10_000,
    largeLog: 1_000_000,
    loneSeconds: 5,
    openings: 5,
    soak: 30,
    witnessUpdates: 1000,
    witnessLogs: 1000,
    witnessRounds: 20,
  },
  long: {
    rounds: 5,
    seconds: 4,
    warmup: 1,
    batchEntries: 1_000_000,
    sustained: 10_000_000,
    smallLog: 10_000,
    largeLog: 1_000_000,
    loneSeconds: 15,
    openings: 7,
    soak: 300,
    witnessUpdates: 3000,
    witnessLogs: 1000,
    witnessRounds: 50,
  },
}

/**
 * @typedef {object} Options
 * @property {'smoke' | 'quick' | 'normal' | 'long'} kind
 * @property {(typeof SIZES)['normal']} sizes
 * @property {string[] | undefined} only
 * @property {string} folder
 * @property {number} patience minutes
 * @property {boolean} save
 * @property {boolean} json
 * @property {boolean} help
 * @property {string | undefined} chart
 * @property {boolean} compare
 * @property {string[]} files
 */

/** @returns {Options} @throws TypeError for what is no option */
export function parseOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      smoke: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      long: { type: 'boolean', default: false },
      only: { type: 'string' },
      folder: { type: 'string', default: tmpdir() },
      soak: { type: 'string' },
      patient: { type: 'string' },
      save: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      compare: { type: 'boolean', default: false },
      chart: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  })
  const kind = ['long', 'quick', 'smoke'].find((name) => values[name]) ?? 'normal'
  const sizes = { ...SIZES[kind] }
  if (values.soak !== undefined) sizes.soak = positive(values.soak, '--soak')
  const { folder, save, json, help, chart, compare } = values
  const only = values.only?.split(',')
  const patience = values.patient === undefined ? 0 : positive(values.patient, '--patient')
  return { kind, sizes, only, folder, patience, save, json, help, chart, compare, files: positionals }
}

function positive(text, what) {
  const value = Number(text)
  if (!(value > 0)) throw new TypeError(`${what}: expected a positive number, got "${text}"`)
  return value
}
