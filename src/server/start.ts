import { readFileSync } from 'node:fs'
import type { Logger } from 'pino'
import { parseAddressSet } from '../access/address.ts'
import { SteleError } from '../errors.ts'
import { createGate } from '../http/gate.ts'
import { RequestRates } from '../http/rates.ts'
import { createHttpServer } from '../http/server.ts'
import { META_LOG } from './access-files.ts'
import { openAccess, type Access } from './access.ts'
import { listOf, type Config } from './config.ts'
import { Host } from './host.ts'
import { listen, stopListening } from './listen.ts'
import type { MetaTarget } from './meta-log.ts'
import { sayStarted } from './say-started.ts'
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
 * @throws SteleError the reason of the first log if none could be opened; `not_initialised` without access control;
 *   `io_error` if the port is taken
 */
export async function startServer(config: Config, logger: Logger): Promise<RunningServer> {
  const host = await openHost(config, logger)
  try {
    checkServable(host, config.data)
    const target = metaTarget(host)
    const access = await openAccess(config.data, target, { open: config.open, nowMs: Date.now })
    const stopping = new AbortController()
    await sayStarted(access, {
      folder: config.data,
      server: { version: packageVersion(), options: config },
      target,
      logger,
      retryMs: REOPEN_AFTER_MS,
      stopping: stopping.signal,
    })
    const server = createHttpServer({
      logs: host,
      limits: httpLimits(config),
      keyring: access.keyring,
      gate: gateOf(config, host, access),
      ...(access.meta ? { trail: access.meta } : {}),
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
        await stopListening(server, () => closeLogs(host, access))
        logger.info('stopped')
      },
    }
  } catch (error) {
    await host.close()
    throw error
  }
}

function openHost(config: Config, logger: Logger): Promise<Host> {
  return Host.open({
    folder: config.data,
    settings: logSettings(config),
    reopenAfterMs: REOPEN_AFTER_MS,
    reopenAtMostMs: REOPEN_AT_MOST_MS,
    openWrites: config.open,
    events: {
      opened: (name, log, tookMs) =>
        logger.info({ log: name, origin: log.origin, treeSize: log.integrated.size, tookMs }, 'log opened'),
      failed: (name, failure) => logger.error({ log: name, code: failure.code }, failure.message),
      witnessFailed: (name, witness, { code, message }) => logger.warn({ log: name, witness, code }, message),
      publishedWithoutQuorum: (name, { code, message }) =>
        logger.warn({ log: name, code }, `published without a quorum: ${message}`),
    },
  })
}

function gateOf(config: Config, host: Host, { keyring }: Access): ReturnType<typeof createGate> {
  const proxies = listOf(config['trusted-proxies'])
  return createGate({
    logs: host,
    keyring,
    rates: new RequestRates({
      perAddress: config['address-requests-per-second'],
      perKey: config['key-requests-per-second'],
    }),
    openMetrics: config.open || config['open-metrics'],
    trustedProxies: proxies.length === 0 ? undefined : parseAddressSet(proxies, 'trusted-proxies'),
  })
}

/** Whatever the host makes of the meta log at the moment: it may be closed and opened again meanwhile. */
function metaTarget(host: Host): MetaTarget {
  return {
    get log() {
      return host.get(META_LOG)?.log
    },
  }
}

/** The meta log last: what was answered while the others closed is written there. */
function closeLogs(host: Host, { meta }: Access): Promise<void> {
  if (!meta) return host.close()
  return host.close({
    name: META_LOG,
    before: () => meta.close({ kind: 'stop' }),
  })
}

/** With some logs open, the rest can wait for its operator; with none there is nothing to serve. */
function checkServable(host: Host, folder: string): void {
  const logs = host.list().filter(({ name }) => name !== META_LOG)
  if (logs.length === 0) {
    throw new SteleError(
      'not_initialised',
      `${folder}: there is no log in it; "stele log create <name>" makes one`,
    )
  }
  const [first] = logs
  if (first?.failure && logs.every((hosted) => !hosted.log)) throw first.failure
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
