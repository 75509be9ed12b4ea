import type { LogAccess } from '../access/caller.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { ScrubStatus } from '../scrub/scrub-options.ts'

/** A key of a log, and which heads it signs. */
export interface HostedKey {
  readonly verifierKey: string
  readonly since: KeyMoment
  /** Until when it was announced to sign, in seconds since 1970. */
  readonly overlapUntilSeconds?: number | undefined
  readonly retired?: KeyMoment | undefined
}

/** A point in a log's history: earlier heads are not larger; later heads are not smaller and have a later timestamp. */
export interface KeyMoment {
  readonly treeSize: number
  readonly timestampMs: number
}

/** One log of this instance, open or not. */
export interface HostedLog extends LogAccess {
  /** Its name in URLs: `[a-z0-9][a-z0-9._-]{0,62}`. */
  readonly name: string
  /** First line of its checkpoints. */
  readonly origin: string
  /** `vkey` of the Ed25519 key that signs its checkpoints. */
  readonly verifierKey: string
  /** All checkpoint keys that it ever had, oldest first. */
  readonly keys: readonly HostedKey[]
  /** Rotation statements, in which old keys name new ones: concatenated signed notes (`proto-docs/keys.md`). */
  readonly rotations: string
  /** SubjectPublicKeyInfo, DER, of the P-256 key that signs its RFC 6962 tree heads. */
  readonly treeHeadKey: Uint8Array
  readonly allowDuplicates: boolean
  /** Undefined while it is not open. */
  readonly log: Log | undefined
  /** Why it is not open. */
  readonly failure: SteleError | undefined
  /** What its scrubber says; undefined without one. @internal */
  readonly scrub?: ScrubStatus | undefined
  /** Begins a pass of the scrubber, if there is one. @internal */
  scrubNow?(): void
}

/** The logs of an instance. Callers look a log up at each request, because it may have been reopened. */
export interface LogDirectory {
  get(name: string): HostedLog | undefined
  list(): readonly HostedLog[]
}

/** A directory without logs, for servers that host none. */
export const NO_LOGS: LogDirectory = { get: () => undefined, list: () => [] }

/**
 * The open log with a name from a URL.
 *
 * @throws SteleError `not_found`; `shutting_down`; `log_halted` with the reason for a log that is not open
 */
export function openedLog(logs: LogDirectory, name: string): { hosted: HostedLog; log: Log } {
  const hosted = logs.get(name)
  if (!hosted) throw noSuchLog(name)
  if (!hosted.log) {
    if (hosted.failure?.code === 'shutting_down') throw hosted.failure
    const reason = hosted.failure?.message ?? 'it is not open'
    throw new SteleError('log_halted', `log ${name}: ${reason}`, { retryAfterSeconds: 30 })
  }
  return { hosted, log: hosted.log }
}

/** The error for a name that no log has, and for a log that is hidden from the caller. */
export function noSuchLog(name: string): SteleError {
  return new SteleError('not_found', `log: expected one that v1/logs lists, got ${excerpt(name)}`)
}
