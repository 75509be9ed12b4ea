import { createMirrorMetrics } from './metrics.ts'
import { createMirrorServer } from './routes.ts'
import type { ScrubClock } from '../scrub/scrub-options.ts'
import { Mirror } from './mirror.ts'
import { Tickets } from './upload.ts'
import { verifiersOf } from '../witness/keys.ts'
import { followedList, readAdminToken } from '../witness/cosigner-config.ts'
import { openCosignerFolder, sayServing, type RunningCosigner } from '../witness/cosigner-start.ts'
import { evidenceReports } from '../witness/evidence-folder.ts'
import { listen, stopListening } from '../http/listen.ts'
import { LogKeeper } from '../witness/log-keeper.ts'
import { makeCopy, type MirrorConfig, mirrorLimits, readTicketKey } from './config.ts'
import { MirrorCopies } from './copies.ts'
import type { ServerLog } from '../http/server-log.ts'

export interface RunningMirror extends RunningCosigner {
  readonly mirror: Mirror
}

/**
 * Opens a mirror folder, serves its copies, and follows the logs that have a URL.
 *
 * @throws SteleError as `openCosignerFolder`, `readTicketKey`, `readAdminToken`, `LogKeeper.open` and
 *   `MirrorCopies.start`; `io_error` if the port is taken
 */
export async function startMirror(
  config: MirrorConfig,
  logger: ServerLog,
  nowMs: () => number = Date.now,
  scrubClock?: ScrubClock,
): Promise<RunningMirror> {
  const { keys, evidence } = await openCosignerFolder('mirror', config.data)
  const tickets = new Tickets(await readTicketKey(config.data))
  const token = await readAdminToken(config)
  const metrics = createMirrorMetrics(() => mirror, nowMs, logger.linesLost)
  const events = evidenceReports(evidence, metrics, logger)
  const mirror = new Mirror({ logs: [], keys, tickets, evidence, events, nowMs })
  const copies = new MirrorCopies({ mirror, config, metrics, logger, nowMs, scrubClock })
  const keeper = new LogKeeper({
    kind: 'mirror',
    folder: config.data,
    own: verifiersOf(keys),
    list: followedList(config),
    logger,
    makeRoom: (origin) => makeCopy(config.data, origin),
    apply: (logs) => copies.apply(logs),
  })
  const stopping = new AbortController()
  const admin = token === undefined ? undefined : { token, logs: keeper }
  const limits = mirrorLimits(config)
  const deps = { mirror, limits, nowMs, metrics, logger, stopping: stopping.signal, admin }
  const server = createMirrorServer(deps)
  try {
    await copies.start(await keeper.open())
    await sayServing(config.data, undefined, logger)
    const url = await listen(server, config)
    await sayServing(config.data, url, logger)
    keeper.follow()
    logger.info({ url, logs: mirror.logs.length, followed: copies.followed }, 'listening')
    return {
      url,
      mirror,
      get logs() {
        return mirror.logs
      },
      reload: () => keeper.reload(),
      async close() {
        stopping.abort()
        await stopListening(server, async () => {
          await keeper.close()
          await sayServing(config.data, undefined, logger)
          await copies.close()
        })
        logger.info('stopped')
      },
    }
  } catch (error) {
    await copies.close()
    throw error
  }
}
