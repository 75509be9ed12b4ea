import type { LogDirectory } from './directory.ts'
import type { HttpLimits } from './limits.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'

/** What the HTTP layer is given. */
export interface HttpDeps {
  readonly logs: LogDirectory
  readonly limits: HttpLimits
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
