import { destination, pino, type DestinationStream, type Level, type Logger } from 'pino'

/** What is never written: an API key, and whatever a caller proved who it is with. */
const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\bst_[a-z]+_[A-Za-z0-9_-]+/g, 'st_[redacted]'],
  [/("(?:proxy-)?authorization"\s*:\s*)(?:"(?:[^"\\]|\\.)*"|\[[^\]]*\])/gi, '$1"[redacted]"'],
  [/\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/=._~-]{4,}/gi, '$1 [redacted]'],
]

/**
 * The server's own log: JSON lines on standard error, each written before the next step is taken, so that a crash
 * loses none.
 *
 * @param stream stands in for standard error
 */
export function createServerLog(
  level: Level | 'silent',
  stream: DestinationStream = destination({ fd: 2, sync: true }),
): Logger {
  return pino({ level, hooks: { streamWrite: redact } }, stream)
}

/** A line without its secrets. It looks at the finished line, so no field and no message can get around it. */
export function redact(line: string): string {
  return SECRETS.reduce((text, [secret, instead]) => text.replace(secret, instead), line)
}
