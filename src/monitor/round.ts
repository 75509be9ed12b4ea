import type { Clock, LogFiles, Transport } from '../client/index.ts'
import type { AskProof } from '../client/served-proofs.ts'
import { Blamed } from './blame.ts'
import type { FindingKind } from './finding.ts'
import type { Ledger } from './ledger.ts'
import type { LogKeys } from './log-keys.ts'
import type { MonitoredLog } from './monitored-log.ts'
import type { Problem, Problems } from './problems.ts'
import type { MonitorStore } from './state.ts'

/** What the parts of a monitor share. */
export interface Parts {
  readonly log: MonitoredLog
  readonly keys: LogKeys
  readonly askProof: AskProof
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
  readonly #hasKey: boolean
  readonly #failingSince = new Map<string, number>()

  /** @param log how long it may be out of reach, and whether it is shown a key */
  constructor(
    problems: Problems,
    clock: Clock,
    { unreachableAfterMs, apiKey }: Pick<MonitoredLog, 'unreachableAfterMs' | 'apiKey'>,
  ) {
    this.#problems = problems
    this.#clock = clock
    this.#patienceMs = unreachableAfterMs
    this.#hasKey = apiKey !== undefined
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
      for (const kind of [...kinds, 'access_denied', 'unreachable'] as const)
        await this.#problems.settle(kind, place, undefined)
      return { value }
    } catch (error) {
      if (!(error instanceof Blamed)) throw error
      const { kind, subject, message } = error
      const detail = { reason: error.code }
      if (kind === 'unreachable') await this.#unreachable(place, error, sinceMs)
      else if (kind === 'access_denied') await this.#denied(place, error)
      else {
        // What a log shows to others is no evidence of anything.
        const kept = kind === 'unproven' ? undefined : evidence
        await this.#problems.settle(kind, place, { subject, message, detail, evidence: kept })
      }
      return undefined
    }
  }

  /** The log is there, and shows this to others: at once, since waiting does not help. */
  async #denied(place: string, { code, message }: Blamed): Promise<void> {
    this.#failingSince.delete(place)
    const why = this.#hasKey
      ? 'the log REFUSES the API key that it is asked with (expired, revoked, or not for this log)'
      : 'the log asks for an API key now, and none was given'
    const detail = { reason: code, withKey: this.#hasKey }
    await this.#problems.settle('unreachable', place, undefined)
    await this.#problems.settle('access_denied', place, {
      subject: code,
      message: `${why}: ${message}`,
      detail,
    })
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
