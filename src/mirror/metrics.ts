import { Counter } from 'prom-client'
import type { SteleError } from '../errors.ts'
import type { MirroredLog } from './log.ts'
import type { Mirror } from './mirror.ts'
import { createCosignerMetrics, type CosignerMetrics } from '../witness/metrics.ts'
import { registerReadings } from '../http/metrics/readings.ts'

/** Counts what a mirror does. */
export interface MirrorMetrics extends CosignerMetrics {
  /** Notes that following a log failed this once. */
  trouble(origin: string, code: string): void
}

/** Counts what a mirror does. */
export function createMirrorMetrics(
  mirror: () => Pick<Mirror, 'logs' | 'failures'>,
  nowMs: () => number,
  linesLost?: () => number,
): MirrorMetrics {
  const contradictions = {
    name: 'stele_mirror_contradictions_total',
    help: 'Signed checkpoints that contradict what was known before. Any is a reason to look.',
  }
  const { metrics, registry } = createCosignerMetrics(contradictions, nowMs, linesLost)
  const troubles = new Counter({
    name: 'stele_mirror_follow_failures_total',
    help: 'Questions to a log that failed, and will be asked again.',
    labelNames: ['origin', 'code'],
    registers: [registry],
  })
  const failures = (): [string, { failure: SteleError | undefined }][] =>
    [...mirror().failures].map(([origin, failure]) => [origin, { failure }])
  registerReadings(registry, 'origin', failures, [
    [
      'stele_mirror_taking',
      '1 while entries are taken and cosigned, 0 once that was stopped.',
      ({ failure }) => (failure ? 0 : 1),
    ],
  ])
  const byOrigin = (): [string, MirroredLog][] => mirror().logs.map((log) => [log.origin, log])
  registerReadings(registry, 'origin', byOrigin, [
    [
      'stele_mirror_findings',
      'Stored things that are known to be damaged.',
      ({ findings }) => findings.length,
    ],
    [
      'stele_mirror_scrub_coverage_ratio',
      'Share of the copy that was verified in this pass.',
      ({ scrub }) => scrub?.coverage,
    ],
    [
      'stele_mirror_scrub_bytes_read_total',
      'Bytes of the copy that were read again since the start.',
      ({ scrub }) => scrub?.bytesRead,
    ],
    [
      'stele_mirror_scrub_passes_total',
      'Passes over the whole copy that came to their end.',
      ({ scrub }) => scrub && (scrub.lastPass?.pass ?? 0),
    ],
    [
      'stele_mirror_pending_size',
      'Size that the log has signed.',
      ({ pending }) => pending?.checkpoint.size ?? 0,
    ],
    ['stele_mirror_next_entry', 'Entries that are stored.', ({ nextEntry }) => nextEntry],
    [
      'stele_mirror_tree_size',
      'Size that was cosigned and is served.',
      ({ state: { mirrored } }) => mirrored?.checkpoint.size ?? 0,
    ],
    [
      'stele_mirror_cosigned_age_seconds',
      'Time since the last cosignature; negative if this clock went back since.',
      ({ state: { mirrored } }) => mirrored && nowMs() / 1000 - mirrored.timestampSeconds,
    ],
  ])
  return { ...metrics, trouble: (origin, code) => troubles.inc({ origin, code }) }
}
