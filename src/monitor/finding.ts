import { toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { sha256 } from '../merkle/hash.ts'

/**
 * What a monitor can find, the gravest first. Part of the API: kinds are added, never renamed.
 * `proto-docs/monitor.md` says for each one what it means and what to do.
 */
export const FINDING_KINDS = [
  'fork', // two signed heads that cannot both be true of one append-only log
  'rollback', // a head smaller than one that was shown before
  'unfrozen', // a log that had ended went on, or takes its end or its successor back
  'bad_signature', // what is served as the head is not one that the log's key has signed
  'bad_entry', // an entry is missing, or is not the one in the signed tree
  'bad_tile', // a tile is missing, or does not lead to the signed root hash
  'unproven', // whether a new head extends the accepted one is shown to keys alone, and none was given
  'access_denied', // the log refuses the key that it is asked with, or asks for one where it did not before
  'quorum_lost', // signed by the log, but not by the witnesses that the policy asks for
  'stale', // the newest dated head is too old, or dated in the future
  'silent', // a log whose heads have no date shows no new one for too long
  'unreachable', // no answer that could be judged
  'match_timeout', // entries that were not looked through, since an expression had used up its time
  'match', // an entry that somebody wants to hear of
] as const

/** One of {@link FINDING_KINDS}. */
export type FindingKind = (typeof FINDING_KINDS)[number]

/** What there is to know about a finding besides its sentence, as JSON has it. */
export type FindingDetail = Readonly<Record<string, string | number | boolean>>

/** Something that somebody should hear of. */
export interface Finding {
  /** 32 digits of hex. The same fact found again, by a monitor that was killed for example, has the same id. */
  readonly id: string
  readonly kind: FindingKind
  /** Origin of the log. */
  readonly log: string
  readonly url: string
  /** When it was found, as ISO 8601 has it. */
  readonly foundAt: string
  readonly message: string
  readonly detail: FindingDetail
}

/** The name of a fact: whatever makes it another one is among `parts`, and nothing that changes from look to look. */
export function findingId(kind: FindingKind, origin: string, ...parts: readonly (string | number)[]): string {
  return toHex(sha256(encodeUtf8(JSON.stringify([kind, origin, ...parts])))).slice(0, 32)
}
