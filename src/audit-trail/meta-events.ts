import type { EventLine } from './meta-line.ts'
import type { MetaLog } from './meta-log.ts'

/** Events that are kept until the meta log is open. */
const MOST_EARLY = 1000

/**
 * Writes events of logs into the meta log. No request waits for them. Owner of the events from before the meta log was
 * open.
 */
export class MetaEvents {
  #early: EventLine[] = []
  #meta: MetaLog | undefined

  /** Records an event; `log` is undefined for an event of no particular log. */
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

  /** Writes the events so far, and from now on each event as it happens. */
  attach(meta: MetaLog): void {
    this.#meta = meta
    for (const line of this.#early) this.#write(line, meta)
    this.#early = []
  }

  #write(line: EventLine, meta: MetaLog): void {
    // A failing meta log is reported at every request, and the server's own log has this event too.
    meta.write(line).catch(() => undefined)
  }
}
