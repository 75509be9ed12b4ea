import type { VerifierKey } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import type { FreshnessLimits } from './freshness.ts'
import type { Matcher } from './matcher.ts'

/** A log to be watched, and how closely. */
export interface MonitoredLog extends FreshnessLimits {
  /** The log's prefix: the checkpoint is at `<url>/checkpoint`. */
  readonly url: string
  readonly origin: string
  /** Shown to the log with every request, and to nobody else. Default: it is asked as anybody. */
  readonly apiKey?: string | undefined
  /** The log's keys: got from somebody who is trusted, not from the log itself. At least one. */
  readonly verifierKeys: readonly VerifierKey[]
  /** Whose cosignatures its checkpoints must carry. Default: nobody's. */
  readonly policy?: Policy | undefined
  /** P-256 key by which `ct/v1/get-sth` is read as well: SubjectPublicKeyInfo, DER. Default: it is not read. */
  readonly treeHeadKey?: Uint8Array | undefined
  /** It is known to have ended: no age of its newest head is a finding. */
  readonly frozen?: boolean
  readonly matchers: readonly Matcher[]
  /** The first entry to be read of a log that was never followed; `end`: only what comes from now on. */
  readonly from: number | 'end'
  /** How many bundles that were read before are read again in each round. */
  readonly recheckBundles: number
  /** How long a log may be out of reach before that is a finding, in milliseconds; 0: at the first failure. */
  readonly unreachableAfterMs: number
}
