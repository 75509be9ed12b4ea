import { pino, type DestinationStream, type Level, type Logger } from 'pino'
import { redact } from '../access/redact.ts'
import { visibleJson } from '../bytes/visible.ts'

/** Where log lines go. `StandardError` of the command line counts those it could not write. */
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
 * The server's own log: JSON lines. Secrets are cut out of the finished line, so that no field and no message can get
 * around it; nor can characters that a terminal would act on, of which pino escapes those below U+0020 alone.
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
