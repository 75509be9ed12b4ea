import { toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { sha256 } from '../merkle/hash.ts'

/**
 * The kinds of findings, the most serious first. Part of the API: kinds are added, never renamed.
 * `proto-docs/monitor.md` says for each one what it means and what to do.
 */
export const FINDING_KINDS = [
  'fork', // two signed heads that cannot both be true of one append-only log
  'rollback', // a head smaller than one that was shown before
  'unfrozen', // a log that had ended grew, or denies its end or its successor
  'bad_signature', // the served head has no valid signature by the log's key
  'bad_entry', // an entry is missing, or is not the one in the signed tree
  'bad_tile', // a tile is missing, or does not lead to the signed root hash
  'unproven', // the log shows the proof that a new head extends the accepted one only to callers with a key, and none was given
  'access_denied', // the log refuses the monitor's key, or requires one that it did not require before
  'quorum_lost', // signed by the log, but not by the witnesses that the policy asks for
  'stale', // the newest dated head is too old, or dated in the future
  'silent', // a log whose heads have no date shows no new one for too long
  'unreachable', // no response that could be checked
  'match_timeout', // entries that were not checked, since an expression had used up its time
  'match', // an entry that a matcher was configured to report
] as const

/** One of {@link FINDING_KINDS}. */
export type FindingKind = (typeof FINDING_KINDS)[number]

/** Details of a finding beside its message, as JSON. */
export type FindingDetail = Readonly<Record<string, string | number | boolean>>

/** An event or a problem that the monitor reports. */
export interface Finding {
  /** 32 hex digits. The same fact has the same id if it is found again, for example after the monitor was killed. */
  readonly id: string
  readonly kind: FindingKind
  /** Origin of the log. */
  readonly log: string
  readonly url: string
  /** When it was found, in ISO 8601. */
  readonly foundAt: string
  readonly message: string
  readonly detail: FindingDetail
}

/** The id of a fact: a hash of `parts`, which must not contain anything that changes from round to round. */
export function findingId(kind: FindingKind, origin: string, ...parts: readonly (string | number)[]): string {
  return toHex(sha256(encodeUtf8(JSON.stringify([kind, origin, ...parts])))).slice(0, 32)
}
