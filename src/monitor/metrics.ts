import { Counter, Gauge, Registry } from 'prom-client'
import type { DeliveryReport, Outbox } from './delivery.ts'
import { FINDING_KINDS, type Finding, type FindingKind } from './finding.ts'
import type { LogMonitor } from './log-monitor.ts'

/** Kinds of findings that are raised once and never end. */
const NEVER_OVER: readonly FindingKind[] = ['fork', 'match_timeout', 'match']

/** The Prometheus metrics of a monitor. */
export interface MonitorMetrics {
  onFinding(finding: Finding): void
  onRound(monitor: LogMonitor): void
  onTrouble(monitor: LogMonitor): void
  onDelivery(report: DeliveryReport): void
  /** Counts a log that is not watched because its saved state cannot be read. */
  onUnopened(origin: string): void
  /** Adds monitors whose state is read at each scrape. */
  watch(monitors: readonly LogMonitor[], outbox: Outbox): void
  readonly contentType: string
  text(): Promise<string>
}

/**
 * Creates the metrics in a registry of their own: two monitors can run in one process.
 *
 * @param linesLost number of lines lost on standard error since the process started
 */
export function createMonitorMetrics(linesLost: () => number = () => 0): MonitorMetrics {
  const registry = new Registry()
  const registers = [registry]
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> =>
    new Counter({ name: `stele_monitor_${name}`, help, labelNames, registers })
  const findings = counter('findings_total', 'Findings raised.', ['log', 'kind'])
  const rounds = counter('rounds_total', 'Completed rounds.', ['log'])
  const troubles = counter('troubles_total', 'Rounds that failed for a reason of the monitor itself.', [
    'log',
  ])
  const deliveries = counter('webhook_attempts_total', 'Findings sent to webhooks.', ['webhook', 'outcome'])
  new Gauge({
    name: 'stele_monitor_stderr_lines_lost',
    help: 'Lines lost on standard error since the process started.',
    registers,
    collect() {
      this.set(linesLost())
    },
  })
  const unopened = new Gauge({
    name: 'stele_monitor_unopened',
    help: '1 for a log that is not watched, because its saved state cannot be read.',
    labelNames: ['log'],
    registers,
  })
  return {
    onUnopened: (log) => unopened.set({ log }, 1),
    onFinding: ({ log, kind }) => findings.inc({ log, kind }),
    onRound: ({ log }) => rounds.inc({ log: log.origin }),
    onTrouble: ({ log }) => troubles.inc({ log: log.origin }),
    onDelivery: ({ url, outcome }) => deliveries.inc({ webhook: hostOf(url), outcome }),
    watch(monitors, outbox) {
      for (const { status } of monitors) {
        rounds.inc({ log: status.origin }, 0)
        troubles.inc({ log: status.origin }, 0)
        for (const kind of FINDING_KINDS) findings.inc({ log: status.origin, kind }, 0)
      }
      registerGauges(registry, monitors, outbox)
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  }
}

function registerGauges(registry: Registry, monitors: readonly LogMonitor[], outbox: Outbox): void {
  const gauge = (name: string, help: string, read: (monitor: LogMonitor) => number): void => {
    new Gauge({
      name: `stele_monitor_${name}`,
      help,
      labelNames: ['log'],
      registers: [registry],
      collect() {
        for (const monitor of monitors) this.set({ log: monitor.status.origin }, read(monitor))
      },
    })
  }
  gauge('tree_size', 'Size of the newest accepted head.', ({ status }) => status.treeSize ?? 0)
  gauge('next_index', 'Index of the first entry not processed yet.', ({ status }) => status.nextIndex)
  const headsOnly =
    'entries require an API key that was not given or may not read them, so that only heads are followed.'
  gauge('heads_only', `1 while its ${headsOnly}`, ({ status }) => (status.headsOnly ? 1 : 0))
  gauge(
    'contact_seconds',
    'When the log last responded, in seconds since 1970.',
    ({ status }) => status.contactMs / 1000,
  )
  new Gauge({
    name: 'stele_monitor_open_findings',
    help: 'Current problems, by kind.',
    labelNames: ['log', 'kind'],
    registers: [registry],
    collect() {
      for (const { status } of monitors) {
        for (const kind of FINDING_KINDS.filter((each) => !NEVER_OVER.includes(each))) {
          const count = status.open.filter((name) => name.startsWith(`${kind} `)).length
          this.set({ log: status.origin, kind }, count)
        }
      }
    },
  })
  new Gauge({
    name: 'stele_monitor_webhook_waiting',
    help: 'Findings that a webhook has not accepted yet.',
    labelNames: ['webhook'],
    registers: [registry],
    collect() {
      this.reset()
      for (const { url, count } of outbox.waiting) this.inc({ webhook: hostOf(url) }, count)
    },
  })
}

/** The host alone: the path of a webhook's URL is often its secret. */
function hostOf(url: string): string {
  return new URL(url).host
}
