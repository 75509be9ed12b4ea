import { setTimeout as wait } from 'node:timers/promises'
import type { Logger } from 'pino'
import { hasCode } from '../errors.ts'
import { recordStart, type Access } from './access.ts'
import type { MetaLog, MetaTarget } from './meta-log.ts'

/** What is said of a server that starts, and to whom. */
export interface Starting {
  /** The data folder. */
  readonly folder: string
  readonly server: Parameters<typeof recordStart>[3]
  readonly target: MetaTarget
  readonly logger: Logger
  /** How long to wait for a meta log that could not be written. */
  readonly retryMs: number
  readonly stopping: AbortSignal
}

/** Writes down that the server has started: now, or as soon as there is a meta log that can be written. */
export async function sayStarted({ meta }: Access, starting: Starting): Promise<void> {
  const { logger } = starting
  if (!meta) return logger.warn('open, and without access control: nothing is traced')
  try {
    await sayNow(meta, starting)
  } catch (error) {
    // Public logs can be read all the same; everything that takes a key is refused until the meta log is back.
    if (!hasCode(error, 'untraceable')) throw error
    logger.error({ code: error.code }, error.message)
    void sayLater(meta, starting)
  }
}

async function sayNow(meta: MetaLog, { folder, server, target, logger }: Starting): Promise<void> {
  const changed = await recordStart(folder, meta, target, server)
  if (changed.length === 0) return
  logger.warn({ changed }, `changed while nobody recorded it: ${changed.join(', ')}`)
}

async function sayLater(meta: MetaLog, starting: Starting): Promise<void> {
  const { target, logger, retryMs, stopping } = starting
  for (;;) {
    await wait(retryMs, undefined, { signal: stopping, ref: false }).catch(() => undefined)
    if (stopping.aborted) return
    if (!target.log || target.log.failure) continue
    try {
      return await sayNow(meta, starting)
    } catch (error) {
      logger.error((error as Error).message)
    }
  }
}
