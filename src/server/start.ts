import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Logger } from 'pino'
import { parseAddressSet } from '../access/address.ts'
import { hasCode, SteleError } from '../errors.ts'
import { createGate } from '../http/gate.ts'
import { RequestRates } from '../http/rates.ts'
import { createHttpServer } from '../http/server.ts'
import { createLogMeters } from '../http/log-meters.ts'
import { createMetrics } from '../http/metrics.ts'
import type { HttpLimits } from '../http/limits.ts'
import { META_LOG } from './access-files.ts'
import { openAccess, recordStart, type Access } from './access.ts'
import { listOf, type Config } from './config.ts'
import { freeBytes } from './disk-room.ts'
import { hostReports } from './host-reports.ts'
import { Host } from './host.ts'
import { listen, stopListening } from './listen.ts'
import { MetaEvents } from './meta-events.ts'
import { affordableConnections, openFileLimit } from './open-files.ts'
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
  const events = new MetaEvents()
  const meters = createLogMeters()
  // Absolute, so that every path in a message is one that answers can be kept free of.
  const folder = resolve(config.data)
  const disk = { freeBytes: () => freeBytes(folder), minFreeBytes: config['min-free-bytes'] }
  const host = await Host.open({
    folder,
    settings: logSettings(config),
    reopenAfterMs: REOPEN_AFTER_MS,
    reopenAtMostMs: REOPEN_AT_MOST_MS,
    openWrites: config.open,
    scrubBytesPerSecond: config['scrub-bytes-per-second'],
    observe: (name) => meters.observer(name),
    events: hostReports({ logger, events, meters }),
  })
  try {
    checkServable(host, config.data)
    const access = await openAccess(folder, metaTarget(host), { open: config.open, nowMs: Date.now })
    await sayStarted(config, access, logger)
    if (access.meta) events.attach(access.meta)
    const stopping = new AbortController()
    const server = createHttpServer({
      logs: host,
      limits: withinOpenFiles(httpLimits(config), host, logger),
      keyring: access.keyring,
      gate: gateOf(config, host, access),
      ...(access.meta ? { trail: access.meta } : {}),
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
        await stopListening(server, () => closeLogs(host, access))
        logger.info('stopped')
      },
    }
  } catch (error) {
    await host.close()
    throw error
  }
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
function metaTarget(host: Host): { readonly log: ReturnType<Host['list']>[number]['log'] } {
  return {
    get log() {
      return host.get(META_LOG)?.log
    },
  }
}

async function sayStarted(config: Config, { meta }: Access, logger: Logger): Promise<void> {
  if (!meta) return logger.warn('open, and without access control: nothing is traced')
  try {
    const server = { version: packageVersion(), options: config }
    const changed = await recordStart(config.data, meta, server)
    if (changed.length > 0) {
      logger.warn({ changed }, `changed while nobody recorded it: ${changed.join(', ')}`)
    }
  } catch (error) {
    // Public logs can be read all the same; everything that takes a key is refused until the meta log is back.
    if (!hasCode(error, 'untraceable')) throw error
    logger.error({ code: error.code }, error.message)
  }
}

/** The meta log last: what was answered while the others closed is written there. */
function closeLogs(host: Host, { meta }: Access): Promise<void> {
  if (!meta) return host.close()
  return host.close({
    name: META_LOG,
    before: async () => {
      await meta.write({ kind: 'stop' }).catch(() => undefined)
      await meta.close()
    },
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

function withinOpenFiles(limits: HttpLimits, host: Host, logger: Logger): HttpLimits {
  const files = openFileLimit()
  const maxConnections = affordableConnections(limits.maxConnections, host.list().length, files)
  if (maxConnections < limits.maxConnections) {
    const fields = { configured: limits.maxConnections, maxConnections, files }
    logger.warn(fields, 'max-connections is lowered to what the limit on open files (ulimit -n) leaves')
  }
  return { ...limits, maxConnections }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
