import { collectDefaultMetrics, Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { ErrorCode } from '../../errors.ts'
import type { HostedLog, LogDirectory } from '../../instance/directory.ts'
import type { Log } from '../../log/log.ts'
import type { ScrubStatus } from '../../scrub/scrub-options.ts'
import { type Connections, REFUSALS } from '../connections.ts'
import { createLogMeters, type LogMeters } from './log-meters.ts'
import { type Reading, registerReadings } from './readings.ts'

/** Counts requests, and exports metrics of requests and logs to Prometheus. */
export interface Metrics {
  /**
   * Counts an answered request. `route` is a route's path, never a caller's text; `code` is the error code if refused.
   */
  observe(route: string, method: string, status: number, seconds: number, code?: ErrorCode): void
  /** Adds the metrics of a server's connections. */
  watch(connections: Connections): void
  readonly contentType: string
  text(): Promise<string>
}

/** From a cached tile to a long poll. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60]

/** Optional sources of further metrics. */
interface MetricsSources {
  /** The meters of the logs. If given, their registry is used. */
  readonly meters?: LogMeters
  /** Free bytes on the disk of the logs; undefined when unknown. */
  readonly freeBytes?: () => Promise<number | undefined>
  /** When this server's certificate expires, in milliseconds since 1970; undefined without a certificate. */
  readonly certificateEndMs?: () => number | undefined
  /** How many API keys expire soon. */
  readonly keysEnding?: (() => number) | undefined
  /** The status of the audit trail, if there is one. */
  readonly trail?: (() => TrailStatus) | undefined
  /** Lines that could not be written to standard error since the process started. */
  readonly linesLost?: (() => number) | undefined
}

/** Metrics with their own registry, so that two servers can live in one process. */
export function createMetrics(
  logs: LogDirectory,
  nowMs: () => number,
  {
    meters = createLogMeters(),
    freeBytes,
    trail,
    certificateEndMs,
    keysEnding,
    linesLost,
  }: MetricsSources = {},
): Metrics {
  const { registry } = meters
  collectDefaultMetrics({ register: registry })
  // Gauges with the suffix of counters. Those without it have the same numbers by type.
  for (const what of ['handles', 'requests', 'resources']) {
    registry.removeSingleMetric(`nodejs_active_${what}_total`)
  }
  const requests = new Counter({
    name: 'stele_http_requests_total',
    help: 'Answered requests.',
    labelNames: ['route', 'method', 'status'],
    registers: [registry],
  })
  const durations = new Histogram({
    name: 'stele_http_request_duration_seconds',
    help: 'From the head of a request to its answer.',
    labelNames: ['route'],
    buckets: SECONDS,
    registers: [registry],
  })
  const refusals = new Counter({
    name: 'stele_http_refusals_total',
    help: 'Requests that were answered with an error code.',
    labelNames: ['route', 'code'],
    registers: [registry],
  })
  registerLogReadings(registry, logs, nowMs)
  registerScrubMetrics(registry, logs)
  if (trail) registerTrailMetrics(registry, trail)
  if (freeBytes) registerDisk(registry, freeBytes)
  if (linesLost) registerLinesLost(registry, linesLost)
  if (certificateEndMs) registerCertificate(registry, certificateEndMs)
  if (keysEnding) registerKeys(registry, keysEnding)
  // Looking a series up by its labels costs more than counting.
  const series = new Map<string, { requests: Counter.Internal; durations: Histogram.Internal<'route'> }>()
  return {
    observe(route, method, status, seconds, code) {
      if (code !== undefined) refusals.inc({ route, code })
      const key = `${route} ${method} ${status}`
      let found = series.get(key)
      if (!found) {
        found = {
          requests: requests.labels(route, method, String(status)),
          durations: durations.labels(route),
        }
        series.set(key, found)
      }
      found.requests.inc()
      found.durations.observe(seconds)
    },
    watch: (connections) => registerConnections(registry, connections),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}

/** Gauges and counters read from each open log when Prometheus scrapes. */
function logReadings(nowMs: () => number): readonly Reading<Log>[] {
  return [
    [
      'stele_log_serving',
      '1 while the log takes entries.',
      (log) => (log.status.state === 'serving' ? 1 : 0),
    ],
    [
      'stele_log_halted',
      '1 after a failed write, or a contradiction, until it is opened again.',
      (log) => (log.status.state === 'halted' ? 1 : 0),
    ],
    ['stele_tree_size', 'Published tree size.', (log) => log.published.size],
    [
      'stele_unpublished_entries',
      'Entries on disk that the published head does not cover.',
      (log) => log.integrated.size - log.published.size,
    ],
    [
      'stele_publishing_failed',
      '1 while the newest head cannot be published: no quorum, or a failed disk.',
      (log) => (log.status.unpublished === undefined ? 0 : 1),
    ],
    [
      'stele_integrated_tree_size',
      'Tree size of the newest signed head on disk.',
      (log) => log.integrated.size,
    ],
    [
      'stele_head_age_seconds',
      'Age of the published head; negative where it is dated in the future.',
      (log) => (nowMs() - log.published.timestampMs) / 1000,
    ],
    [
      'stele_signed_head_age_seconds',
      'Age of the newest signed head, published or not; negative where it is dated in the future.',
      (log) => (nowMs() - log.integrated.timestampMs) / 1000,
    ],
    [
      'stele_queue_age_seconds',
      'How long the oldest entry that is not on disk has waited.',
      (log) => log.status.oldestWaitingMs / 1000,
    ],
    ['stele_queue_entries', 'Entries that wait for an index.', (log) => log.status.queuedEntries],
    ['stele_queue_bytes', 'Bytes they hold.', (log) => log.status.queuedBytes],
    [
      'stele_index_lag',
      'Committed leaves that the leaf index does not hold yet.',
      (log) => log.status.indexLag,
    ],
    ['stele_commits_total', 'Commits since the log was opened.', (log) => log.status.commits],
  ]
}

function registerLogReadings(registry: Registry, logs: LogDirectory, nowMs: () => number): void {
  const hosted = (): [string, HostedLog][] => logs.list().map((each) => [each.name, each])
  registerReadings(registry, 'log', hosted, [
    [
      'stele_log_open',
      '1 for a log that is open, 0 for one that could not be opened.',
      ({ log }) => (log ? 1 : 0),
    ],
  ])
  const open = (): [string, Log][] => logs.list().flatMap(({ name, log }) => (log ? [[name, log]] : []))
  registerReadings(registry, 'log', open, logReadings(nowMs))
}

function registerConnections(registry: Registry, connections: Connections): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  }
  gauge('stele_http_connections', 'Open connections.', () => connections.open)
  gauge('stele_http_long_polls', 'Requests that wait for a newer head.', () => connections.longPolls.held)
  gauge(
    'stele_http_answer_bytes',
    'Bytes of large answers in memory that callers have not taken yet.',
    () => connections.answers.bytes,
  )
  const reasons = REFUSALS.map((reason) => [reason, reason] as const)
  registerReadings(registry, 'reason', () => reasons, [
    [
      'stele_http_cut_total',
      'Connections closed and requests refused because a connection limit was reached.',
      (reason) => connections.refused[reason],
    ],
  ])
}

function registerDisk(registry: Registry, freeBytes: () => Promise<number | undefined>): void {
  new Gauge({
    name: 'stele_disk_free_bytes',
    help: 'Free bytes on the disk of the logs.',
    registers: [registry],
    async collect() {
      const free = await freeBytes()
      this.reset()
      if (free !== undefined) this.set(free)
    },
  })
}

function registerLinesLost(registry: Registry, linesLost: () => number): void {
  new Gauge({
    name: 'stele_stderr_lines_lost',
    help: 'Log lines that could not be written to standard error since the process started.',
    registers: [registry],
    collect() {
      this.set(linesLost())
    },
  })
}

function registerKeys(registry: Registry, ending: () => number): void {
  new Gauge({
    name: 'stele_api_keys_ending',
    help: 'API keys that expire within 14 days and have no successor, except keys made for less than 28 days.',
    registers: [registry],
    collect() {
      this.set(ending())
    },
  })
}

function registerCertificate(registry: Registry, endMs: () => number | undefined): void {
  new Gauge({
    name: 'stele_tls_certificate_not_after_seconds',
    help: 'When the served certificate expires, in seconds since 1970.',
    registers: [registry],
    collect() {
      const end = endMs()
      this.reset()
      if (end !== undefined) this.set(end / 1000)
    },
  })
}

const READINGS: readonly Reading<ScrubStatus>[] = [
  [
    'stele_scrub_coverage_ratio',
    'Share of the tree that was verified in this pass.',
    (scrub) => scrub.coverage,
  ],
  ['stele_scrub_findings', 'Damaged items in storage.', (scrub) => scrub.findingCount],
  ['stele_scrub_bytes_read_total', 'Bytes read since the log was opened.', (scrub) => scrub.bytesRead],
  ['stele_scrub_read_errors_total', 'Reads that failed and were tried again.', (scrub) => scrub.readErrors],
  ['stele_scrub_passes_total', 'Completed passes over the whole log.', (scrub) => scrub.lastPass?.pass ?? 0],
  [
    'stele_scrub_last_pass_timestamp_seconds',
    'When the last completed pass ended.',
    ({ lastPass }) => lastPass && lastPass.finishedAtMs / 1000,
  ],
  [
    'stele_scrub_last_pass_duration_seconds',
    'Duration of the last completed pass.',
    ({ lastPass }) => lastPass && (lastPass.finishedAtMs - lastPass.startedAtMs) / 1000,
  ],
]

/** Metrics of the scrubbers, read when Prometheus scrapes. */
function registerScrubMetrics(registry: Registry, logs: LogDirectory): void {
  const scrubs = (): [string, ScrubStatus][] =>
    logs.list().flatMap(({ name, scrub }) => (scrub ? [[name, scrub]] : []))
  registerReadings(registry, 'log', scrubs, READINGS)
}

/** Counts of the audit trail. */
export interface TrailStatus {
  /** Lines that are not on disk yet. */
  readonly waiting: number
  /** Lines written since the server started. */
  readonly written: number
  /** Lines that could not be written. Their requests were refused or not acknowledged. */
  readonly failed: number
}

/** Metrics of the audit trail, read when Prometheus scrapes. */
function registerTrailMetrics(registry: Registry, status: () => TrailStatus): void {
  const registers = [registry]
  new Gauge({
    name: 'stele_meta_waiting_lines',
    help: 'Lines of the meta log that are not on disk yet.',
    registers,
    collect() {
      this.set(status().waiting)
    },
  })
  counter('stele_meta_lines_total', 'Lines of the meta log that were written.', () => status().written)
  counter('stele_meta_failures_total', 'Lines that could not be written.', () => status().failed)

  function counter(name: string, help: string, read: () => number): void {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
}
