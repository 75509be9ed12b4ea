import { SteleError } from '../errors.ts'
import type { Stage, StageOptions } from './stage.ts'

/** The parties that may notice an attack, by their names in `proto-docs/threat-model.md`. */
export const PARTIES = [
  'log at opening', // the log itself: it does not open, or refuses entries
  'log at reading', // the log itself, when an entry is read
  'server', // the server, by the requests that it refuses and counts while it serves other clients
  'log at writing', // the log itself, when a client without a key appends
  'witness', // a witness, by its response to a request for a cosignature
  'monitor', // a monitor, in its next round
  'auditor', // an auditor, which recomputes everything
  'client', // a client that verifies everything and remembers the newest verified head
  'new client', // the same client without any remembered head
  'receipt holder', // holds an entry and the proof that it received when the entry was acknowledged
  'verifier', // checks a proof file or a checkpoint against a policy, offline
  'third party', // has an evidence file and the log's keys, and nothing else
] as const
export type Party = (typeof PARTIES)[number]

/** What a party noticed: a code for programs, and the party's message. */
export interface Notice {
  readonly code: string
  readonly message: string
}

/** One party's check. It runs before the attack, when nothing may be found, and again after it. */
export interface Lookout {
  readonly by: Party
  /** The code that the party must report; undefined for a party that is documented not to notice. */
  readonly fact: string | undefined
  /** Returns undefined if nothing is wrong. */
  readonly look: (stage: Stage) => Promise<Notice | undefined>
}

/** An attack by a dishonest operator or an intruder. */
export interface Attack {
  /** The name for `--only`, and the heading in `proto-docs/poc.md`. */
  readonly name: string
  /** What the attack does, in a few words. */
  readonly title: string
  readonly stage?: StageOptions
  /** In the order in which the parties check. */
  readonly lookouts: readonly Lookout[]
  /** Carries out the attack on real data. */
  readonly act: (stage: Stage) => Promise<void>
}

/** The codes that the threat model promises. Empty for an attack that no party notices. */
export function promises({ lookouts }: Attack): { readonly by: Party; readonly fact: string }[] {
  return lookouts.flatMap(({ by, fact }) => (fact === undefined ? [] : [{ by, fact }]))
}

/** Runs a check that throws, and returns its error as what was noticed. Bugs are thrown on. */
export async function noticed(check: () => unknown): Promise<Notice | undefined> {
  try {
    await check()
    return undefined
  } catch (error) {
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    return { code: error.code, message: error.message }
  }
}
