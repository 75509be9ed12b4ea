import { setTimeout as wait } from 'node:timers/promises'
import type { ServerLogger } from '../http/logger.ts'
import { hasCode, type SteleError } from '../errors.ts'
import { recordStart, type Access } from './access.ts'
import type { MetaLog, MetaTarget } from '../audit-trail/meta-log.ts'
import { unaccounted } from '../audit-trail/trail-state.ts'

/** The server's start as it is recorded, and the logs that the record goes to. */
export interface Starting {
  readonly folder: string
  readonly server: Parameters<typeof recordStart>[3]
  readonly target: MetaTarget
  readonly logger: ServerLogger
  /** How long to wait for a meta log that could not be written. */
  readonly retryMs: number
  readonly stopping: AbortSignal
}

/**
 * Records the start of the server in the meta log, at once or as soon as the meta log can be written. Witnesses of the
 * meta log that do not respond delay the record. The server waits for it at most `retryMs`.
 */
export async function sayStarted({ meta }: Access, starting: Starting): Promise<void> {
  const { logger, retryMs, stopping } = starting
  if (!meta) return logger.warn({}, 'open, and without access control: nothing is traced')
  let isLate = false
  const said = sayNow(meta, starting).catch((error: unknown) => {
    // Public logs can still be read. Requests with a key are refused until the meta log is writable.
    if (!isLate && !hasCode(error, 'untraceable')) throw error
    logger.error({ code: (error as SteleError).code }, (error as Error).message)
    void sayLater(meta, starting)
  })
  const enough = new AbortController()
  const patience = wait(retryMs, undefined, {
    signal: AbortSignal.any([stopping, enough.signal]),
    ref: false,
  })
  await Promise.race([said, patience.catch(() => undefined)]).finally(() => enough.abort())
  isLate = true
}

async function sayNow(meta: MetaLog, { folder, server, target, logger }: Starting): Promise<void> {
  const { changed, untraced } = await recordStart(folder, meta, target, server)
  for (const account of untraced) {
    const ranges = unaccounted(account).map(([begin, end]) => `${begin}..${end - 1}`)
    logger.warn(
      account,
      `log ${account.log}: entries without a line in the audit trail: ${ranges.join(', ')}`,
    )
  }
  if (changed.length === 0) return
  logger.warn({ changed }, `changed without a record in the audit trail: ${changed.join(', ')}`)
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
      logger.error({}, (error as Error).message)
    }
  }
}
