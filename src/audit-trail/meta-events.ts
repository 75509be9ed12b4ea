import type { EventLine } from './meta-line.ts'
import type { MetaLog } from './meta-log.ts'

/** Events that are remembered until there is a meta log to write them into. */
const MOST_EARLY = 1000

/**
 * Things that happen to logs by themselves, on their way into the meta log: nobody waits for them. Owner of those that
 * happened before the meta log was open.
 */
export class MetaEvents {
  #early: EventLine[] = []
  #meta: MetaLog | undefined

  /** Notes that something happened; to no log in particular when `log` is undefined. */
  tell(event: string, log: string | undefined, details?: unknown): void {
    const line: EventLine = {
      kind: 'event',
      event,
      ...(log === undefined ? {} : { log }),
      ...(details === undefined ? {} : { details }),
    }
    if (this.#meta) this.#write(line, this.#meta)
    else if (this.#early.length < MOST_EARLY) this.#early.push(line)
  }

  /** Writes what has happened, and from now on what happens. */
  attach(meta: MetaLog): void {
    this.#meta = meta
    for (const line of this.#early) this.#write(line, meta)
    this.#early = []
  }

  #write(line: EventLine, meta: MetaLog): void {
    // A meta log that cannot be written says so at every request; the server's own log has this line as well.
    meta.write(line).catch(() => undefined)
  }
}
