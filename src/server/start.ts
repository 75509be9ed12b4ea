import type { Logger } from 'pino'
import { SteleError } from '../errors.ts'
import { createHttpServer } from '../http/server.ts'
import type { Config } from './config.ts'
import { Host } from './host.ts'
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
  const host = await Host.open({
    folder: config.data,
    settings: logSettings(config),
    reopenAfterMs: REOPEN_AFTER_MS,
    reopenAtMostMs: REOPEN_AT_MOST_MS,
    events: {
      opened: (name, log, tookMs) =>
        logger.info({ log: name, origin: log.origin, treeSize: log.integrated.size, tookMs }, 'log opened'),
      failed: (name, failure) => logger.error({ log: name, code: failure.code }, failure.message),
      witnessFailed: (name, witness, { code, message }) => logger.warn({ log: name, witness, code }, message),
      publishedWithoutQuorum: (name, { code, message }) =>
        logger.warn({ log: name, code }, `published without a quorum: ${message}`),
      keysChanged: (name, statements) =>
        logger.info({ log: name, statements: statements.length }, 'the keys of the log have changed'),
      frozen: (name, { size, final }) =>
        logger.info({ log: name, treeSize: size, successor: final?.successor }, 'log frozen'),
    },
  })
  try {
    checkServable(host, config.data)
    const stopping = new AbortController()
    const limits = httpLimits(config)
    const server = createHttpServer({
      logs: host,
      limits,
      logger,
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
