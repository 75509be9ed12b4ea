import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { SteleError } from '../errors.ts'
import { createLogMeters } from '../http/log-meters.ts'
import { createMetrics } from '../http/metrics.ts'
import type { HttpLimits } from '../http/limits.ts'
import { createHttpServer } from '../http/server.ts'
import type { Config } from './config.ts'
import { freeBytes } from './disk-room.ts'
import { Host } from './host.ts'
import { affordableConnections, openFileLimit } from './open-files.ts'
import { listen, stopListening } from './listen.ts'
import { httpLimits, logSettings } from './settings.ts'

export interface RunningServer {
  /** Where it listens, without a trailing slash. */
  readonly url: string
  readonly host: Host
  /** Stops: refuses new entries, commits and answers what was admitted, closes connections and logs. */
  close(): Promise<void>
}

const REOPEN_AFTER_MS = 2000
const REOPEN_AT_MOST_MS = 60_000

/**
 * Opens the logs of a data folder and serves them.
 *
 * @throws SteleError the reason of the first log if none could be opened; `io_error` if the port is taken
 */
export async function startServer(config: Config, logger: Logger): Promise<RunningServer> {
  const meters = createLogMeters()
  // Absolute, so that every path in a message is one that answers can be kept free of.
  const folder = resolve(config.data)
  const disk = { freeBytes: () => freeBytes(folder), minFreeBytes: config['min-free-bytes'] }
  const host = await Host.open({
    folder,
    settings: logSettings(config),
    reopenAfterMs: REOPEN_AFTER_MS,
    reopenAtMostMs: REOPEN_AT_MOST_MS,
    observe: (name) => meters.observer(name),
    events: {
      opened: (name, log, tookMs) =>
        logger.info({ log: name, origin: log.origin, treeSize: log.integrated.size, tookMs }, 'log opened'),
      failed: (name, failure) => logger.error({ log: name, code: failure.code }, failure.message),
      witnessCosigned: (name, witness, tookMs) => meters.witness(name, witness, 'cosigned', tookMs),
      witnessFailed: (name, witness, { code, message }) => {
        meters.witness(name, witness, code)
        logger.warn({ log: name, witness, code }, message)
      },
      publishedWithoutQuorum: (name, { code, message }) =>
        logger.warn({ log: name, code }, `published without a quorum: ${message}`),
    },
  })
  try {
    checkServable(host, config.data)
    const stopping = new AbortController()
    const limits = withinOpenFiles(httpLimits(config), host, logger)
    const server = createHttpServer({
      logs: host,
      limits,
      logger,
      disk,
      slowRequestMs: config['slow-request-ms'],
      metrics: createMetrics(host, Date.now, { meters, freeBytes: disk.freeBytes }),
      nowMs: Date.now,
      stopping: stopping.signal,
    })
    const url = await listen(server, config)
    logger.info({ url }, 'listening')
    return {
      url,
      host,
      close: async () => {
        stopping.abort()
        await stopListening(server, () => host.close())
        logger.info('stopped')
      },
    }
  } catch (error) {
    await host.close()
    throw error
  }
}

/** With some logs open, the rest can wait for its operator; with none there is nothing to serve. */
function checkServable(host: Host, folder: string): void {
  const logs = host.list()
  if (logs.length === 0) {
    throw new SteleError(
      'not_initialised',
      `${folder}: there is no log in it; "stele log create <name>" makes one`,
    )
  }
  const [first] = logs
  if (first?.failure && logs.every((hosted) => !hosted.log)) throw first.failure
}

function withinOpenFiles(limits: HttpLimits, host: Host, logger: Logger): HttpLimits {
  const files = openFileLimit()
  const maxConnections = affordableConnections(limits.maxConnections, host.list().length, files)
  if (maxConnections < limits.maxConnections) {
    const fields = { configured: limits.maxConnections, maxConnections, files }
    logger.warn(fields, 'max-connections is lowered to what the limit on open files (ulimit -n) leaves')
  }
  return { ...limits, maxConnections }
}
