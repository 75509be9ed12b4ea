import { pino, type DestinationStream, type Level, type Logger } from 'pino'
import { redact } from '../access/redact.ts'
import { visibleJson } from '../bytes/visible.ts'

/** The destination of log lines. `StandardError` of the command line counts lines that it could not write. */
export interface LogStream extends DestinationStream {
  readonly linesLost?: number
  on?(event: 'recovered', listener: (linesLost: number, code: string) => void): unknown
}

/** The server's own log. */
export type ServerLog = Logger & {
  /** Lines that could not be written since the process started. */
  readonly linesLost?: () => number
}

/**
 * The server's own log: JSON lines. Secrets are removed from the finished line, so that no field or message can bypass
 * the removal. So are characters that a terminal would act on; pino itself escapes only those below U+0020.
 *
 * @param stream standard error
 */
export function createServerLog(level: Level | 'silent', stream: LogStream): ServerLog {
  const logger = pino({ level, hooks: { streamWrite: (line) => visibleJson(redact(line)) } }, stream)
  stream.on?.('recovered', (linesLost, code) => {
    logger.warn({ linesLost, code }, 'log lines were lost: standard error could not be written')
  })
  return Object.assign(logger, { linesLost: () => stream.linesLost ?? 0 })
}
