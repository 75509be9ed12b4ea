import { Counter, type Registry } from 'prom-client'
import type { Kept } from './evidence.ts'
import type { Contradiction } from './judge.ts'
import { NO_LOGS } from '../instance/directory.ts'
import { createLogMeters } from '../http/metrics/log-meters.ts'
import { createMetrics, type Metrics } from '../http/metrics/metrics.ts'

/** Counts what a witness or a mirror does, beside its requests. */
export interface CosignerMetrics extends Metrics {
  /** Notes that a log contradicted itself, and what became of the evidence. */
  contradiction(origin: string, kind: Contradiction, kept: Kept | 'failed'): void
}

/**
 * What witnesses and mirrors count alike, in a registry of its own: two of them can live in one process.
 *
 * @param contradictions name of the metric, and what it says
 * @param linesLost see `MetricsSources`
 */
export function createCosignerMetrics(
  contradictions: { readonly name: string; readonly help: string },
  nowMs: () => number,
  linesLost: (() => number) | undefined,
): { metrics: CosignerMetrics; registry: Registry } {
  const meters = createLogMeters()
  const { registry } = meters
  const metrics = createMetrics(NO_LOGS, nowMs, { meters, linesLost })
  const counter = new Counter({
    ...contradictions,
    labelNames: ['origin', 'kind', 'evidence'],
    registers: [registry],
  })
  return {
    metrics: {
      ...metrics,
      contradiction: (origin, kind, kept) => counter.inc({ origin, kind, evidence: kept }),
    },
    registry,
  }
}
