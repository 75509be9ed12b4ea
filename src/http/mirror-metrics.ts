import { Counter, Gauge, Registry } from 'prom-client'
import type { MirroredLog } from '../mirror/log.ts'
import type { Kept } from '../witness/evidence.ts'
import type { Contradiction } from '../witness/judge.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { NO_LOGS } from './witness-metrics.ts'

/** Counts what a mirror does, beside its requests. */
export interface MirrorMetrics extends Metrics {
  /** Notes that a log contradicted itself, and what became of the evidence. */
  contradiction(origin: string, kind: Contradiction, kept: Kept | 'failed'): void
  /** Notes that following a log failed this once. */
  trouble(origin: string, code: string): void
}

const GAUGES: readonly [name: string, help: string, read: (log: MirroredLog) => number][] = [
  ['stele_mirror_taking', '1 while entries are taken and cosigned, 0 once that was stopped.', taking],
  ['stele_mirror_pending_size', 'Size that the log has signed.', (log) => log.pending?.checkpoint.size ?? 0],
  ['stele_mirror_next_entry', 'Entries that are stored.', (log) => log.nextEntry],
  ['stele_mirror_tree_size', 'Size that was cosigned and is served.', sizeOf],
]

/** Metrics with registries of their own: two mirrors can live in one process. */
export function createMirrorMetrics(logs: readonly MirroredLog[], nowMs: () => number): MirrorMetrics {
  const requests = createMetrics(NO_LOGS, nowMs)
  const registry = new Registry()
  const contradictions = new Counter({
    name: 'stele_mirror_contradictions_total',
    help: 'Signed checkpoints that contradict what was known before. Any is a reason to look.',
    labelNames: ['origin', 'kind', 'evidence'],
    registers: [registry],
  })
  const troubles = new Counter({
    name: 'stele_mirror_follow_failures_total',
    help: 'Questions to a log that failed, and will be asked again.',
    labelNames: ['origin', 'code'],
    registers: [registry],
  })
  for (const [name, help, read] of GAUGES) registerGauge(registry, logs, { name, help, read })
  registerGauge(registry, logs, {
    name: 'stele_mirror_cosigned_age_seconds',
    help: 'Time since the last cosignature; negative if this clock went back since.',
    read: ({ state: { mirrored } }) => (mirrored ? nowMs() / 1000 - mirrored.timestampSeconds : undefined),
  })
  return {
    observe: (...request) => requests.observe(...request),
    contentType: requests.contentType,
    text: async () => `${await requests.text()}\n${await registry.metrics()}`,
    contradiction: (origin, kind, kept) => contradictions.inc({ origin, kind, evidence: kept }),
    trouble: (origin, code) => troubles.inc({ origin, code }),
  }
}

function registerGauge(
  registry: Registry,
  logs: readonly MirroredLog[],
  { name, help, read }: { name: string; help: string; read: (log: MirroredLog) => number | undefined },
): void {
  new Gauge({
    name,
    help,
    labelNames: ['origin'],
    registers: [registry],
    collect() {
      for (const log of logs) {
        const value = read(log)
        if (value !== undefined) this.set({ origin: log.origin }, value)
      }
    },
  })
}

function taking({ failure }: MirroredLog): number {
  return failure ? 0 : 1
}

function sizeOf({ state: { mirrored } }: MirroredLog): number {
  return mirrored?.checkpoint.size ?? 0
}
