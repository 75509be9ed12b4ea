import type { Mirror } from '../mirror/mirror.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import type { MirrorLimits } from './mirror-limits.ts'

/** What the HTTP layer of a mirror is given. */
export interface MirrorHttpDeps {
  readonly mirror: Mirror
  readonly limits: MirrorLimits
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /** Without it nothing is counted, and `metrics` is not found. */
  readonly metrics?: Metrics
  readonly logger?: Logger
  /** Aborted when the server begins to stop: connections close behind their answers. */
  readonly stopping?: AbortSignal
}
