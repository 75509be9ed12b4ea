import { Gauge } from 'prom-client'
import type { CosignedHead } from './head.ts'
import type { WitnessStore } from './store.ts'
import { createCosignerMetrics, type CosignerMetrics } from './cosigner-metrics.ts'
import { registerReadings } from '../http/metrics/readings.ts'

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
