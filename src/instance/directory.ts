import type { LogAccess } from '../access/caller.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { ScrubStatus } from '../scrub/scrub-options.ts'

/** A key of a log, and which of its heads it signs. */
export interface HostedKey {
  readonly verifierKey: string
  readonly since: KeyMoment
  /** Until when it was announced to sign, in seconds since 1970. */
  readonly overlapUntilSeconds?: number | undefined
  readonly retired?: KeyMoment | undefined
}

/** A moment in a log's life: no head before it is larger, none behind it smaller or of an earlier time. */
export interface KeyMoment {
  readonly treeSize: number
  readonly timestampMs: number
}

/** One log of this instance, opened or not. */
export interface HostedLog extends LogAccess {
  /** Its place in the URL: `[a-z0-9][a-z0-9._-]{0,62}`. */
  readonly name: string
  /** First line of its checkpoints. */
  readonly origin: string
  /** `vkey` of the Ed25519 key that signs its checkpoints. */
  readonly verifierKey: string
  /** All keys that it ever had for its checkpoints, oldest first. */
  readonly keys: readonly HostedKey[]
  /** What old keys say of new ones: signed notes, one behind the other (`proto-docs/keys.md`). */
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

/** The logs of an instance. Asked anew at each request, so that a log can be reopened meanwhile. */
export interface LogDirectory {
  get(name: string): HostedLog | undefined
  list(): readonly HostedLog[]
}

/** A server that hosts no log, for what is made for servers that do. */
export const NO_LOGS: LogDirectory = { get: () => undefined, list: () => [] }

/**
 * The log behind a name of a URL.
 *
 * @throws SteleError `not_found`; `shutting_down`; `log_halted` with the reason for one that is not open
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

/** What is said of a name that no log has, and of a log that this caller may not know of. */
export function noSuchLog(name: string): SteleError {
  return new SteleError('not_found', `log: expected one that v1/logs lists, got ${excerpt(name)}`)
}
