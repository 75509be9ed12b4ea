import type { VerifierKey } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import type { FreshnessLimits } from './freshness.ts'
import type { Matcher } from './matcher.ts'

/** A log to watch, and how to watch it. */
export interface MonitoredLog extends FreshnessLimits {
  /** The log's prefix; the checkpoint is at `<url>/checkpoint`. */
  readonly url: string
  readonly origin: string
  /** API key sent to this log only, with every request. Default: none. */
  readonly apiKey?: string | undefined
  /** The log's keys, at least one, from a trusted source other than the log itself. */
  readonly verifierKeys: readonly VerifierKey[]
  /** The policy that its checkpoints must satisfy. Default: no cosignatures are required. */
  readonly policy?: Policy | undefined
  /** The P-256 key of `ct/v1/get-sth`: SubjectPublicKeyInfo, DER. Default: tree heads are not read. */
  readonly treeHeadKey?: Uint8Array | undefined
  /** True if the log is known to have ended; the age of its newest head is then never a finding. */
  readonly frozen?: boolean
  readonly matchers: readonly Matcher[]
  /** The first entry to read of a log that was never followed; `end`: only new entries. */
  readonly from: number | 'end'
  /** Number of old bundles that are read again in each round. */
  readonly recheckBundles: number
  /** How long the log may be unreachable before that is a finding, in milliseconds; 0: at the first failure. */
  readonly unreachableAfterMs: number
}
