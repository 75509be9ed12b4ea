import type { Witness } from './witness.ts'
import type { Connections } from '../http/connections.ts'
import type { LogAdmin } from './log-list-routes.ts'
import type { Logger } from '../http/logger.ts'
import type { Metrics } from '../http/metrics/metrics.ts'
import type { WitnessLimits } from './limits.ts'

/** What the HTTP layer of a witness is given, and that of a mirror. */
export interface CosignerHttpDeps {
  readonly limits: WitnessLimits
  /** Bounds what all requests together may take; without it those of this handler are bounded among themselves. */
  readonly connections?: Connections
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /** Without it nothing is counted, and `metrics` is not found. */
  readonly metrics?: Metrics
  readonly logger?: Logger
  /** Without it the logs cannot be listed or changed over HTTP. */
  readonly admin?: LogAdmin | undefined
  /** Aborted when the server begins to stop: connections close behind their answers. */
  readonly stopping?: AbortSignal
}

/** What the HTTP layer of a witness is given. */
export interface WitnessHttpDeps extends CosignerHttpDeps {
  readonly witness: Witness
}
