import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXIT_CONTROL_FAILED, EXIT_OK, EXIT_UNNOTICED } from '../cli/exit-codes.ts'
import { SteleError } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { Attack, Lookout, Notice, Party } from './attack.ts'
import { evidenceFiles, logKeys } from './monitoring.ts'
import { setStage } from './setting.ts'
import type { Stage, StageOptions } from './stage.ts'

/** Options of a run, and its callbacks. */
export interface SuiteOptions {
  /** True to leave the folders in place. */
  readonly keep: boolean
  /** Overrides the attacks' own options. */
  readonly stage?: StageOptions
  /** No further attack starts once this is aborted. */
  readonly signal?: AbortSignal
  readonly onStep?: (attack: Attack, step: Step) => void
  /** Called after each attack; the next attack starts once it resolves. */
  readonly onTrial?: (trial: Trial) => Promise<void>
}

/** The result of a run. */
export interface SuiteReport {
  readonly trials: readonly Trial[]
  /** The folder of all scenarios; removed unless it was to be kept. */
  readonly folder: string
  readonly tookMs: number
}

/** Runs attacks one after the other, so that each has the machine to itself and its times are meaningful. */
export async function runSuite(attacks: readonly Attack[], options: SuiteOptions): Promise<SuiteReport> {
  const startedMs = performance.now()
  const folder = await mkdtemp(join(tmpdir(), 'stele-poc-'))
  const trials: Trial[] = []
  try {
    for (const attack of attacks) {
      if (options.signal?.aborted) break
      const at = join(folder, attack.name)
      const trial = await tryAttack(attack, at, (step) => options.onStep?.(attack, step), options.stage)
      trials.push(trial)
      if (!options.keep) await rm(at, { recursive: true, force: true })
      await options.onTrial?.(trial)
    }
  } finally {
    if (!options.keep) await rm(folder, { recursive: true, force: true })
  }
  return { trials, folder, tookMs: performance.now() - startedMs }
}

/** The number of trials with this outcome. */
export function countOf({ trials }: SuiteReport, ...outcomes: readonly Outcome[]): number {
  return trials.filter(({ outcome }) => outcomes.includes(outcome)).length
}

/** 0 only if every attack was carried out, and its result is as documented. */
export function exitCodeOf(report: SuiteReport): number {
  if (countOf(report, 'unnoticed', 'undocumented') > 0) return EXIT_UNNOTICED
  return countOf(report, 'control_failed') > 0 ? EXIT_CONTROL_FAILED : EXIT_OK
}

/** The result of one party for an attack. */
export interface Sighting {
  readonly by: Party
  /** The code that the threat model promises; undefined if it says that the party does not notice. */
  readonly expected: string | undefined
  /** What the party noticed. */
  readonly notice: Notice | undefined
  /** The duration of the party's check, in milliseconds. */
  readonly tookMs: number
}

/**
 * How an attack ended.
 *
 * - `caught`: by all parties that should catch it
 * - `not_caught`: by nobody, as the threat model says
 * - `unnoticed`: somebody who is said to notice did not, or by another fact
 * - `undocumented`: somebody noticed who is said not to
 * - `control_failed`: something was wrong before the attack, or it could not be carried out; nothing was shown
 */
export type Outcome = 'caught' | 'not_caught' | 'unnoticed' | 'undocumented' | 'control_failed'

/** The result of an attack. */
export interface Trial {
  readonly attack: string
  readonly title: string
  readonly outcome: Outcome
  /** The results of the parties after the attack, in order. */
  readonly sightings: readonly Sighting[]
  /** For `control_failed`: what failed. */
  readonly reason: string | undefined
  /** The duration of the whole trial, including the preparation, in milliseconds. */
  readonly tookMs: number
  /** The folder of the scenario. */
  readonly folder: string
  /** The evidence files of the monitor. */
  readonly evidence: readonly string[]
  /** The keys of the log, with which the evidence is checked; empty if there was no log. */
  readonly keys: readonly string[]
}

/** The current step, for progress output. */
export type Step = 'setting the stage' | `control: ${Party}` | 'attack' | `${Party} looks`

/**
 * Carries out one attack in a folder of its own. Every party checks and must find nothing; the attack runs; every party
 * checks again.
 *
 * @param options override the attack's own
 */
export async function tryAttack(
  attack: Attack,
  folder: string,
  onStep: (step: Step) => void = () => {},
  options: StageOptions = {},
): Promise<Trial> {
  const startedMs = performance.now()
  let stage: Stage | undefined
  const end = async (outcome: Outcome, sightings: readonly Sighting[], reason?: string): Promise<Trial> => {
    const { name, title } = attack
    const tookMs = performance.now() - startedMs
    const evidence = stage ? await evidenceFiles(stage) : []
    const keys = stage ? logKeys(stage).map(formatVerifierKey) : []
    return { attack: name, title, outcome, sightings, reason, tookMs, folder, evidence, keys }
  }
  onStep('setting the stage')
  try {
    stage = await setStage(folder, { ...attack.stage, ...options })
    for (const lookout of attack.lookouts) {
      onStep(`control: ${lookout.by}`)
      const wrong = await lookout.look(stage)
      if (wrong) return await end('control_failed', [], `${lookout.by}: ${wrong.code}: ${wrong.message}`)
    }
    onStep('attack')
    await attack.act(stage)
    const sightings: Sighting[] = []
    for (const lookout of attack.lookouts) {
      onStep(`${lookout.by} looks`)
      sightings.push(await sight(lookout, stage))
    }
    return await end(judge(sightings), sightings)
  } catch (error) {
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return await end('control_failed', [], error.message)
  } finally {
    await stage?.close()
  }
}

async function sight({ by, fact, look }: Lookout, stage: Stage): Promise<Sighting> {
  const startedMs = performance.now()
  const notice = await look(stage)
  return { by, expected: fact, notice, tookMs: performance.now() - startedMs }
}

function judge(sightings: readonly Sighting[]): Outcome {
  const promised = sightings.filter(({ expected }) => expected !== undefined)
  if (promised.some(({ expected, notice }) => notice?.code !== expected)) return 'unnoticed'
  if (sightings.some(({ expected, notice }) => expected === undefined && notice)) return 'undocumented'
  return promised.length > 0 ? 'caught' : 'not_caught'
}
