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

/** How a suite is run, and who watches. */
export interface SuiteOptions {
  /** Leaves the folders where they are. */
  readonly keep: boolean
  /** Wins over what the attacks ask for. */
  readonly stage?: StageOptions
  /** No further attack is begun once it is aborted. */
  readonly signal?: AbortSignal
  readonly onStep?: (attack: Attack, step: Step) => void
  /** Resolves when the next attack may begin. */
  readonly onTrial?: (trial: Trial) => Promise<void>
}

/** What a suite came to. */
export interface SuiteReport {
  readonly trials: readonly Trial[]
  /** Where everything happened; gone unless it was to be kept. */
  readonly folder: string
  readonly tookMs: number
}

/** Carries out attacks, one after the other: each has the machine to itself, so that its times mean something. */
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

/** How many trials ended so. */
export function countOf({ trials }: SuiteReport, ...outcomes: readonly Outcome[]): number {
  return trials.filter(({ outcome }) => outcomes.includes(outcome)).length
}

/** 0 only if everything went as the threat model says, and everything was shown. */
export function exitCodeOf(report: SuiteReport): number {
  if (countOf(report, 'unnoticed', 'undocumented') > 0) return EXIT_UNNOTICED
  return countOf(report, 'control_failed') > 0 ? EXIT_CONTROL_FAILED : EXIT_OK
}

/** What one party made of an attack. */
export interface Sighting {
  readonly by: Party
  /** The fact by which the threat model says that it notices; undefined where it says that it does not. */
  readonly expected: string | undefined
  /** What it did notice. */
  readonly notice: Notice | undefined
  /** From its look to its verdict, in milliseconds. */
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

/** An attack that was carried out. */
export interface Trial {
  readonly attack: string
  readonly title: string
  readonly outcome: Outcome
  /** Who looked afterwards, in order. */
  readonly sightings: readonly Sighting[]
  /** For `control_failed`: what was wrong. */
  readonly reason: string | undefined
  /** Everything together, the stage being set included, in milliseconds. */
  readonly tookMs: number
  /** Where it happened. */
  readonly folder: string
  /** What the monitor kept there. */
  readonly evidence: readonly string[]
  /** The keys of the log, by which evidence is judged; empty if there was no log. */
  readonly keys: readonly string[]
}

/** What is being done, for whoever watches. */
export type Step = 'setting the stage' | `control: ${Party}` | 'attack' | `${Party} looks`

/**
 * Carries out one attack in a folder of its own: every party looks, and all is well; the attack; every party looks again.
 *
 * @param options wins over the attack's own
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
