import { Counter, Gauge, type Registry } from 'prom-client'
import { createLogMeters } from '../http/metrics/log-meters.ts'
import { createMetrics, type Metrics } from '../http/metrics/metrics.ts'
import { registerReadings } from '../http/metrics/readings.ts'
import { NO_LOGS } from '../instance/directory.ts'
import type { Kept } from './evidence.ts'
import type { CosignedHead } from './head.ts'
import type { Contradiction } from './judge.ts'
import type { WitnessStore } from './store.ts'

/** Counts what a witness does. */
export function createWitnessMetrics(
  store: WitnessStore,
  nowMs: () => number,
  linesLost?: () => number,
): CosignerMetrics {
  const contradictions = {
    name: 'stele_witness_contradictions_total',
    help: 'Signed checkpoints that contradict what was cosigned before. Any is a reason to look.',
  }
  const { metrics, registry } = createCosignerMetrics(contradictions, nowMs, linesLost)
  new Gauge({
    name: 'stele_witness_signing',
    help: '1 while it signs, 0 after its disk failed and until it is started again.',
    registers: [registry],
    collect() {
      this.set(store.failure ? 0 : 1)
    },
  })
  const heads = (): [string, CosignedHead][] =>
    Array.from(store.heads(), (head) => [head.checkpoint.origin, head])
  registerReadings(registry, 'origin', heads, [
    ['stele_witness_tree_size', 'Size that was cosigned last.', ({ checkpoint }) => checkpoint.size],
    [
      'stele_witness_cosigned_age_seconds',
      'Time since the last cosignature; negative if this clock went back since.',
      ({ timestampSeconds }) => nowMs() / 1000 - timestampSeconds,
    ],
  ])
  return metrics
}

/** Counts what a witness or a mirror does, beside its requests. */
export interface CosignerMetrics extends Metrics {
  /** Counts a contradiction of a log, and what happened to the evidence. */
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
