import type { Logger } from 'pino'
import type { ScrubEvents } from '../log/scrubber.ts'

/** What a scrubber says, as lines of the server's own log. */
export function scrubReports(log: string, logger: Logger): ScrubEvents {
  return {
    onFinding: ({ place, expected, found, message }) =>
      logger.error({ log, code: 'corrupt', place, expected, found }, `scrubber: ${message}`),
    onCleared: ({ place }) => logger.info({ log, place }, `scrubber: ${place} is good again`),
    onPassDone: ({ pass, leaves, bytesRead, findings, startedAtMs, finishedAtMs }) =>
      logger.info(
        { log, pass, leaves, bytesRead, findings, tookMs: finishedAtMs - startedAtMs },
        'scrubber: the whole log was verified',
      ),
    onReadError: ({ code, message }) => logger.warn({ log, code }, `scrubber: ${message}`),
  }
}
