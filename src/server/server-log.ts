import { destination, pino, type DestinationStream, type Level, type Logger } from 'pino'
import { redact } from '../access/redact.ts'
import { visibleJson } from '../bytes/visible.ts'

/**
 * The server's own log: JSON lines on standard error, each written before the next step is taken, so that a crash
 * loses none. Secrets are cut out of the finished line, so that no field and no message can get around it; nor can
 * characters that a terminal would act on, of which pino escapes those below U+0020 alone.
 *
 * @param stream stands in for standard error
 */
export function createServerLog(
  level: Level | 'silent',
  stream: DestinationStream = destination({ fd: 2, sync: true }),
): Logger {
  return pino({ level, hooks: { streamWrite: (line) => visibleJson(redact(line)) } }, stream)
}
