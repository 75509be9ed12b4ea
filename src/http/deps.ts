import type { AddressSet } from '../access/address.ts'
import type { LogAdministration } from '../instance/administration.ts'
import type { LogDirectory } from '../instance/directory.ts'
import type { Connections } from './connections.ts'
import type { Keyring } from '../access/keyring.ts'
import type { Gate } from './gate.ts'
import type { HttpLimits } from './limits.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { Certificate } from './tls-server.ts'
import type { Trail } from './trail.ts'

/** What the HTTP layer is given. */
export interface HttpDeps {
  readonly logs: LogDirectory
  readonly limits: HttpLimits
  /** Bounds what all requests together may take; without it those of this handler are bounded among themselves. */
  readonly connections?: Connections
  /** Proxies whose connections carry those of many callers. */
  readonly trustedProxies?: AddressSet | undefined
  /** With it the server speaks TLS, and nothing else. */
  readonly tls?: Certificate
  /** Decides who may do what. Nothing is open by omission: `OPEN_GATE` has to be asked for. */
  readonly gate: Gate
  /** The API keys of this server; without them their routes are not there. */
  readonly keyring?: Keyring
  /** Changes logs; without it the routes that do are not there. */
  readonly administration?: LogAdministration
  /** Where every authenticated and every denied request is written down, before its answer leaves. */
  readonly trail?: Trail
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /** Without it nothing is counted, and `metrics` is not found. */
  readonly metrics?: Metrics
  readonly logger?: Logger
  /** The room that the logs have; without it nobody asks. */
  readonly disk?: DiskRoom
  /** Requests that take at least this long get a line in the log; without it none does. */
  readonly slowRequestMs?: number
  /** Aborted when the server begins to stop: long polls end, and connections close behind their answers. */
  readonly stopping?: AbortSignal
}

/** Room on the disk where the logs are. */
export interface DiskRoom {
  /** Undefined when that cannot be said. Resolves soon in any case. */
  freeBytes(): Promise<number | undefined>
  /** With less, `readyz` says no. */
  readonly minFreeBytes: number
}
