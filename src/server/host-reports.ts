import type { ServerLogger } from '../http/logger.ts'
import type { MetaEvents } from '../audit-trail/meta-events.ts'
import type { LogMeters } from '../http/metrics/log-meters.ts'
import type { HostEvents } from '../instance/host.ts'
import type { ScrubEvents } from '../scrub/scrub-options.ts'

/** Reports events of logs to the server's own log, the meta log and the metrics. */
export function hostReports({
  logger,
  events,
  meters,
  maxAheadMs,
}: {
  readonly logger: ServerLogger
  readonly events: MetaEvents
  readonly meters: LogMeters
  /** When a log opens whose head is dated more than this ahead of the clock, a warning is logged. */
  readonly maxAheadMs: number
}): HostEvents {
  return {
    opened(name, log, tookMs) {
      const { size, timestampMs } = log.integrated
      logger.info({ log: name, origin: log.origin, treeSize: size, tookMs }, 'log opened')
      const aheadMs = timestampMs - Date.now()
      if (aheadMs < maxAheadMs) return
      const { reason } = log.status
      logger.warn({ log: name, aheadMs }, reason ?? 'the newest head of the log is dated in the future')
    },
    failed(name, failure) {
      logger.error({ log: name, code: failure.code }, failure.message)
      events.tell('log_failed', name, { code: failure.code, reason: failure.message })
    },
    waitsForRoom: (name, room) =>
      logger.warn({ log: name, ...room }, 'the log is opened again when the disk has this much room'),
    witnessCosigned: (name, witness, tookMs) => meters.witness(name, witness, 'cosigned', tookMs),
    witnessFailed(name, witness, { code, message }) {
      meters.witness(name, witness, code)
      logger.warn({ log: name, witness, code }, message)
    },
    publishedWithoutQuorum: (name, { code, message }) =>
      logger.warn({ log: name, code }, `published without a quorum: ${message}`),
    keysChanged(name, statements) {
      logger.info({ log: name, statements: statements.length }, 'the keys of the log have changed')
      events.tell('keys_changed', name, { statements })
    },
    frozen(name, { size, final }) {
      logger.info({ log: name, treeSize: size, successor: final?.successor }, 'log frozen')
      events.tell('log_frozen', name, { treeSize: size, ...final })
    },
    scrub: (name) => scrubReports(name, logger, events),
  }
}

/** What a scrubber says, as lines of the server's own log, and of the meta log. */
function scrubReports(log: string, logger: ServerLogger, events: MetaEvents): ScrubEvents {
  return {
    onFinding({ place, expected, found, message }) {
      logger.error({ log, code: 'corrupt', place, expected, found }, `scrubber: ${message}`)
      events.tell('scrub_finding', log, { place, expected, found })
    },
    onCleared({ place }) {
      logger.info({ log, place }, `scrubber: ${place} is good again`)
      events.tell('scrub_cleared', log, { place })
    },
    onPassDone({ pass, leaves, bytesRead, findings, startedAtMs, finishedAtMs }) {
      const details = { pass, leaves, bytesRead, findings, tookMs: finishedAtMs - startedAtMs }
      logger.info({ log, ...details }, 'scrubber: the whole log was verified')
      events.tell('scrub_pass', log, details)
    },
    onReadError: ({ code, message }) => logger.warn({ log, code }, `scrubber: ${message}`),
  }
}
