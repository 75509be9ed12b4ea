import type { SteleError } from '../errors.ts'
import type { ScrubClock } from './scrub-clock.ts'
import type { ScrubFile, ScrubPass } from './scrub-cursor.ts'
import type { ScrubFinding } from './scrub-finding.ts'
import type { FindingEvents } from './scrub-known.ts'
import type { ScrubTurns } from './scrub-turns.ts'

/** For whoever writes the server's log, or records it elsewhere. None of them may throw. */
export interface ScrubEvents extends FindingEvents {
  onPassDone?(pass: ScrubPass): void
  /** Reading failed: nothing is known, and it is tried again. */
  onReadError?(error: SteleError): void
}

export interface ScrubberOptions {
  /** Above 0. The rate over any stretch of time longer than a few reads. */
  readonly bytesPerSecond: number
  /** Losing it costs a pass. Written whole or not at all. */
  readonly cursor: ScrubFile
  /** Shared by all scrubbers of the process. */
  readonly turns: ScrubTurns
  readonly events?: ScrubEvents
  readonly clock?: ScrubClock
}

/** What a scrubber is doing, for health and metrics. */
export interface ScrubStatus {
  /** 0 to 1: how much of the tree was verified in this pass. */
  readonly coverage: number
  readonly pass: number
  readonly lastPass: ScrubPass | undefined
  /** Since the log was opened. */
  readonly bytesRead: number
  readonly readErrors: number
  /** What is damaged, the first hundred of it. */
  readonly findings: readonly ScrubFinding[]
  /** How much is damaged, those included that are too many to be kept. */
  readonly findingCount: number
}
