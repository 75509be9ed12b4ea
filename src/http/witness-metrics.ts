import { Counter, Gauge, Registry } from 'prom-client'
import type { Kept } from '../witness/evidence.ts'
import type { Contradiction } from '../witness/judge.ts'
import type { WitnessStore } from '../witness/store.ts'
import type { LogDirectory } from './directory.ts'
import { createMetrics, type Metrics } from './metrics.ts'

/** Counts what a witness does, beside its requests. */
export interface WitnessMetrics extends Metrics {
  /** Notes that a log contradicted itself, and what became of the evidence. */
  contradiction(origin: string, kind: Contradiction, kept: Kept | 'failed'): void
}

/** A server that hosts no log, for what is made for servers that do. */
export const NO_LOGS: LogDirectory = { get: () => undefined, list: () => [] }

/** Metrics with registries of their own: two witnesses can live in one process. */
export function createWitnessMetrics(store: WitnessStore, nowMs: () => number): WitnessMetrics {
  const requests = createMetrics(NO_LOGS, nowMs)
  const registry = new Registry()
  const contradictions = new Counter({
    name: 'stele_witness_contradictions_total',
    help: 'Signed checkpoints that contradict what was cosigned before. Any is a reason to look.',
    labelNames: ['origin', 'kind', 'evidence'],
    registers: [registry],
  })
  registerGauges(registry, store, nowMs)
  return {
    observe: (...request) => requests.observe(...request),
    contentType: requests.contentType,
    text: async () => `${await requests.text()}\n${await registry.metrics()}`,
    contradiction: (origin, kind, kept) => contradictions.inc({ origin, kind, evidence: kept }),
  }
}

function registerGauges(registry: Registry, store: WitnessStore, nowMs: () => number): void {
  new Gauge({
    name: 'stele_witness_signing',
    help: '1 while it signs, 0 after its disk failed and until it is started again.',
    registers: [registry],
    collect() {
      this.set(store.failure ? 0 : 1)
    },
  })
  new Gauge({
    name: 'stele_witness_tree_size',
    help: 'Size that was cosigned last.',
    labelNames: ['origin'],
    registers: [registry],
    collect() {
      for (const { checkpoint } of store.heads()) this.set({ origin: checkpoint.origin }, checkpoint.size)
    },
  })
  new Gauge({
    name: 'stele_witness_cosigned_age_seconds',
    help: 'Time since the last cosignature; negative if this clock went back since.',
    labelNames: ['origin'],
    registers: [registry],
    collect() {
      const nowSeconds = nowMs() / 1000
      for (const { checkpoint, timestampSeconds } of store.heads()) {
        this.set({ origin: checkpoint.origin }, nowSeconds - timestampSeconds)
      }
    },
  })
}
