import { SteleError } from '../errors.ts'
import type { Stage, StageOptions } from './stage.ts'

/** Who can notice an attack. `proto-docs/threat-model.md` uses the same names. */
export const PARTIES = [
  'log at opening', // the log itself: it does not open, or takes no entries
  'log at reading', // the log itself, asked for an entry
  'server', // by what it refuses and counts, while others are served
  'log at writing', // the log itself, asked without a key to append
  'witness', // by what it answers to whoever wants a cosignature
  'monitor', // at its next round
  'auditor', // recomputes everything
  'client', // believes nothing unverified, and keeps the newest head that it verified
  'new client', // the same, and has seen nothing before
  'receipt holder', // has an entry and its proof, from when it was acknowledged
  'verifier', // holds a proof file or a checkpoint against a policy, offline
  'third party', // has an evidence file and the log's keys, and nothing else
] as const
export type Party = (typeof PARTIES)[number]

/** What somebody noticed: the fact, for programs, and the sentence that they gave. */
export interface Notice {
  readonly code: string
  readonly message: string
}

/** One party's look at the stage: the same before the attack, where all must be well, and after it. */
export interface Lookout {
  readonly by: Party
  /** The fact by which it notices; undefined for a party that cannot notice, and is not said to. */
  readonly fact: string | undefined
  /** Gives undefined if all is well. */
  readonly look: (stage: Stage) => Promise<Notice | undefined>
}

/** Something that a cheating operator or an intruder tries. */
export interface Attack {
  /** As in `--only`, and as the heading in `proto-docs/poc.md`. */
  readonly name: string
  /** What is done, in a few words. */
  readonly title: string
  readonly stage?: StageOptions
  /** In the order in which they look. */
  readonly lookouts: readonly Lookout[]
  /** Does it, with real bytes. */
  readonly act: (stage: Stage) => Promise<void>
}

/** The facts that the threat model promises. Empty for an attack that nobody notices. */
export function promises({ lookouts }: Attack): { readonly by: Party; readonly fact: string }[] {
  return lookouts.flatMap(({ by, fact }) => (fact === undefined ? [] : [{ by, fact }]))
}

/** Runs a check that throws; what it throws is what was noticed. Bugs are thrown on. */
export async function noticed(check: () => unknown): Promise<Notice | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return { code: error.code, message: error.message }
  }
}
