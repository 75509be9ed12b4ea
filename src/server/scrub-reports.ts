import type { ServerLogger } from '../http/logger.ts'
import type { ScrubEvents } from '../scrub/scrub-options.ts'
import type { MetaEvents } from '../audit-trail/meta-events.ts'

/** What a scrubber says, as lines of the server's own log, and of the meta log. */
export function scrubReports(log: string, logger: ServerLogger, events: MetaEvents): ScrubEvents {
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
