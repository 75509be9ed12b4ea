import type { Registry } from 'prom-client'
import type { ScrubStatus } from '../../scrub/scrub-options.ts'
import type { LogDirectory } from '../../instance/directory.ts'
import { registerReadings, type Reading } from './readings.ts'

const READINGS: readonly Reading<ScrubStatus>[] = [
  [
    'stele_scrub_coverage_ratio',
    'Share of the tree that was verified in this pass.',
    (scrub) => scrub.coverage,
  ],
  ['stele_scrub_findings', 'Stored things that are damaged.', (scrub) => scrub.findingCount],
  ['stele_scrub_bytes_read_total', 'Bytes read since the log was opened.', (scrub) => scrub.bytesRead],
  ['stele_scrub_read_errors_total', 'Reads that failed and were tried again.', (scrub) => scrub.readErrors],
  [
    'stele_scrub_passes_total',
    'Passes over the whole log that came to their end.',
    (scrub) => scrub.lastPass?.pass ?? 0,
  ],
  [
    'stele_scrub_last_pass_timestamp_seconds',
    'When the last pass came to its end.',
    ({ lastPass }) => lastPass && lastPass.finishedAtMs / 1000,
  ],
  [
    'stele_scrub_last_pass_duration_seconds',
    'How long the last pass took.',
    ({ lastPass }) => lastPass && (lastPass.finishedAtMs - lastPass.startedAtMs) / 1000,
  ],
]

/** What the scrubbers say of their logs, read when Prometheus asks. */
export function registerScrubMetrics(registry: Registry, logs: LogDirectory): void {
  const scrubs = (): [string, ScrubStatus][] =>
    logs.list().flatMap(({ name, scrub }) => (scrub ? [[name, scrub]] : []))
  registerReadings(registry, 'log', scrubs, READINGS)
}
