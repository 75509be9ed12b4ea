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

/** Dependencies of the HTTP layer. */
export interface HttpDeps {
  readonly logs: LogDirectory
  readonly limits: HttpLimits
  /** Bounds what all requests together may take. If absent, this handler makes its own. */
  readonly connections?: Connections
  /** Proxies whose connections carry requests of many callers. */
  readonly trustedProxies?: AddressSet | undefined
  /** If given, the server speaks TLS only. */
  readonly tls?: Certificate
  /** Authorizes requests. Required, so that a server without authorization has to name `OPEN_GATE`. */
  readonly gate: Gate
  /** The API keys of this server. If absent, so are their routes. */
  readonly keyring?: Keyring
  /** Changes logs. If absent, so are the routes that change them. */
  readonly administration?: LogAdministration
  /** Records every authenticated and every denied request before its answer is sent. */
  readonly trail?: Trail
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /** If absent, nothing is counted and `metrics` is not found. */
  readonly metrics?: Metrics
  readonly logger?: Logger
  /** Free space on the disk of the logs. If absent, it is not checked. */
  readonly disk?: DiskRoom
  /** Requests that take at least this long get a log line. If absent, none does. */
  readonly slowRequestMs?: number
  /** Aborted when the server begins to stop: long polls end, and connections close after their answers. */
  readonly stopping?: AbortSignal
}

/** Free space on the disk of the logs. */
export interface DiskRoom {
  /** Undefined when the free space is unknown. Always resolves soon. */
  freeBytes(): Promise<number | undefined>
  /** With less free space, `readyz` reports not ready. */
  readonly minFreeBytes: number
}
