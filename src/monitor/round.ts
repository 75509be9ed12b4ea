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

/** Further facts about an attempt. */
export interface AttemptOptions {
  /** Since when the place is known to be unreachable, if it is. Milliseconds since 1970. */
  readonly sinceMs?: number | undefined
  /** Writes the evidence of a finding. */
  readonly evidence?: Problem['evidence']
}

/**
 * Runs tasks that may fail, and turns failures of the log into findings. Owns the times since when places are
 * unreachable.
 */
export class Attempts {
  readonly #problems: Problems
  readonly #clock: Clock
  readonly #patienceMs: number
  readonly #hasKey: boolean
  readonly #failingSince = new Map<string, number>()

  /** @param log how long it may be unreachable, and whether a key is sent to it */
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
   * @param place what the task checks, as part of the findings' names
   * @param kinds kinds of problems that end if the task succeeds; if it fails, only the kind of its failure is set
   * @returns undefined after a failure of the log
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
        // That the log shows a proof only to others is not evidence.
        const kept = kind === 'unproven' ? undefined : evidence
        await this.#problems.settle(kind, place, { subject, message, detail, evidence: kept })
      }
      return undefined
    }
  }

  /** The log responds but denies access. Reported at once, since waiting does not help. */
  async #denied(place: string, { code, message }: Blamed): Promise<void> {
    this.#failingSince.delete(place)
    const why = this.#hasKey
      ? 'the log REFUSES the configured API key (expired, revoked, or not for this log)'
      : 'the log now requires an API key, and none was given'
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
    // All errors of one outage are one problem.
    await this.#problems.settle('unreachable', place, {
      subject: place,
      message: error.message,
      detail: { reason: error.code },
    })
  }
}
