import type { Clock, LogFiles, Transport } from '../client/index.ts'
import { Blamed } from './blame.ts'
import type { FindingKind } from './finding.ts'
import type { Ledger } from './ledger.ts'
import type { MonitoredLog } from './monitored-log.ts'
import type { Problem, Problems } from './problems.ts'
import type { MonitorStore } from './store.ts'

/** What the parts of a monitor share. */
export interface Parts {
  readonly log: MonitoredLog
  readonly files: LogFiles
  readonly transport: Transport
  readonly clock: Clock
  readonly store: MonitorStore
  readonly ledger: Ledger
  readonly problems: Problems
  readonly attempts: Attempts
}

/** What else is known of an attempt. */
export interface AttemptOptions {
  /** Since when the place is known to be out of reach, if it is. Milliseconds since 1970. */
  readonly sinceMs?: number | undefined
  /** Keeps evidence of what is found. */
  readonly evidence?: Problem['evidence']
}

/** Runs what may fail, and turns failures of the log's into findings. Owner of since when what has been out of reach. */
export class Attempts {
  readonly #problems: Problems
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #failingSince = new Map<string, number>()

  constructor(problems: Problems, clock: Clock, patienceMs: number) {
    this.#problems = problems
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  /**
   * @param place what is looked at, as a part of the findings' names
   * @param kinds what is settled there: all of them when the task works, only the one that it fails with when not
   * @returns undefined after a failure of the log's
   * @throws other failures
   */
  async run<T>(
    place: string,
    kinds: readonly FindingKind[],
    task: () => Promise<T>,
    { sinceMs = this.#clock.nowMs(), evidence }: AttemptOptions = {},
  ): Promise<{ readonly value: T } | undefined> {
    try {
      const value = await task()
      this.#failingSince.delete(place)
      for (const kind of [...kinds, 'unreachable'] as const)
        await this.#problems.settle(kind, place, undefined)
      return { value }
    } catch (error) {
      if (!(error instanceof Blamed)) throw error
      const { kind, subject, message } = error
      const detail = { reason: error.code }
      if (kind === 'unreachable') await this.#unreachable(place, error, sinceMs)
      else await this.#problems.settle(kind, place, { subject, message, detail, evidence })
      return undefined
    }
  }

  async #unreachable(place: string, error: Blamed, knownSinceMs: number): Promise<void> {
    const sinceMs = this.#failingSince.get(place) ?? knownSinceMs
    this.#failingSince.set(place, sinceMs)
    const lastedMs = this.#clock.nowMs() - sinceMs
    if (lastedMs < this.#patienceMs) return
    // One outage, whatever it looks like from minute to minute.
    await this.#problems.settle('unreachable', place, {
      subject: place,
      message: error.message,
      detail: { reason: error.code },
    })
  }
}
