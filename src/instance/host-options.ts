import type { SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import type { Log } from '../log/log.ts'
import type { LogObserver } from '../log/observer.ts'
import type { ScrubClock } from '../scrub/scrub-clock.ts'
import type { ScrubEvents } from '../scrub/scrub-options.ts'
import type { LogSettings } from './open-log.ts'

/** What happens to logs, for whoever writes the server's own log. */
export interface HostEvents {
  opened(name: string, log: Log, tookMs: number): void
  failed(name: string, failure: SteleError): void
  /** A log that stopped is not opened again before there is this much room. */
  waitsForRoom?(
    name: string,
    room: { readonly neededBytes: number; readonly freeBytes: number | undefined },
  ): void
  witnessCosigned?(name: string, witness: string, tookMs: number): void
  witnessFailed(name: string, witness: string, failure: SteleError): void
  publishedWithoutQuorum(name: string, reason: SteleError): void
  /** What the scrubber of a log says. */
  scrub?(name: string): ScrubEvents
  /** Old keys have announced a new one: signed notes, for whoever keeps a record of a log's keys. */
  keysChanged?(name: string, statements: readonly string[]): void
  frozen?(name: string, final: SignedHead): void
}

export interface HostOptions {
  readonly folder: string
  /** Ends the opening of logs behind the one that is being opened. */
  readonly giveUp?: AbortSignal
  readonly settings: LogSettings
  /** How long, in all, logs are waited for that take their time to open. They go on opening behind. */
  readonly openWithinMs: number
  /** First and longest wait before a log that stopped for want of space is opened again. */
  readonly reopenAfterMs: number
  readonly reopenAtMostMs: number
  /** With less room than this on the disk a log that stopped is not opened again: opening writes, too. */
  readonly roomToReopenBytes?: number
  /** Anybody may append: only where nobody else can reach the server. */
  readonly openWrites: boolean
  readonly events: HostEvents
  /** Rate of each log's scrubber; without it, or at 0, there is none. */
  readonly scrubBytesPerSecond?: number
  readonly scrubClock?: ScrubClock
  /** Whoever counts what a log does. */
  readonly observe?: (name: string) => LogObserver
}
