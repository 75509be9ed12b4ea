import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EXIT_CONTROL_FAILED, EXIT_OK, EXIT_UNNOTICED } from '../cli/exit-codes.ts'
import type { Attack } from './attack.ts'
import type { StageOptions } from './stage.ts'
import { tryAttack, type Outcome, type Step, type Trial } from './trial.ts'

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
