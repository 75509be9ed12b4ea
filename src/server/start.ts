import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { isLoopbackName, parseAddressSet, type AddressSet } from '../access/address.ts'
import { endsSoon } from '../access/key-record.ts'
import { SteleError } from '../errors.ts'
import { createGate } from '../http/gate.ts'
import { SILENT, type ServerLogger } from '../http/logger.ts'
import { RequestRates } from '../http/rates.ts'
import { createHttpServer } from '../http/server.ts'
import type { ServerLog } from '../http/server-log.ts'
import { createLogMeters } from '../http/metrics/log-meters.ts'
import { createMetrics } from '../http/metrics/metrics.ts'
import type { HttpLimits } from '../http/limits.ts'
import { META_LOG } from '../instance/access-files.ts'
import { openAccess, type Access } from './access.ts'
import { listOf, loadConfig, maxKeyMsOf, type Config } from '../config/config.ts'
import { freeBytes } from '../instance/disk-room.ts'
import { hostReports } from './host-reports.ts'
import type { LogDirectory } from '../instance/directory.ts'
import { Host } from '../instance/host.ts'
import { BEING_OPENED } from '../instance/hosted.ts'
import { tokenReader } from './identity.ts'
import { listen, stopListening } from '../http/listen.ts'
import { MetaEvents } from '../audit-trail/meta-events.ts'
import { affordableConnections, checkOpenFiles, openFileLimit } from '../instance/open-files.ts'
import type { MetaTarget } from '../audit-trail/meta-log.ts'
import { sayStarted } from './say-started.ts'
import { servedAdministration } from './served-administration.ts'
import { httpLimits, logSettings } from './settings.ts'
import { Tls } from './tls.ts'

/** A log server that answers requests. */
export interface RunningServer {
  /** Where it listens, with the port that it has, without a trailing slash: `http://127.0.0.1:6962`. */
  readonly url: string
  /** The logs of its data folder. Asked each time, for a log may be closed and opened again meanwhile. */
  readonly logs: LogDirectory
  /** Reads the certificate again, and keeps the old one if the new one is no good; undefined without TLS. */
  readonly reloadTls?: () => Promise<void>
  /** Stops the server: refuses new entries, commits and answers admitted ones, closes connections and logs. */
  close(): Promise<void>
}

/** A log that needs longer to open (its disk may hang) does not delay serving the other logs. */
const OPEN_WITHIN_MS = 10_000
const REOPEN_AFTER_MS = 2000
const REOPEN_AT_MOST_MS = 60_000
/**
 * A log that stopped for lack of space opens again at this fraction of `min-free-bytes`, the free space below which
 * readyz fails. The default gives 64 MiB; LevelDB writes about 10 MiB when it opens.
 */
const ROOM_TO_REOPEN_SHARE = 4

/**
 * Opens the logs of a data folder and serves them over HTTP: what `stele serve` calls. Nothing is created.
 *
 * @param given options of the server by the names of `proto-docs/configuration.md`, in the units that their names say. Default:
 *   the defaults of that page, which are `./data` on port 6962 of 127.0.0.1; port 0 takes a free one. `log-level` and
 *   `stop-timeout-seconds` are the command's and change nothing here.
 * @param logger where the server writes about itself; it is told no secret. Default: nowhere
 * @param giveUp ends the start when it is aborted: what was opened is closed again
 * @returns once it answers requests
 * @throws SteleError `usage` with every mistake in the options; the reason of the first log if none could be opened;
 *   `not_initialised` for a folder without a log, or without access control unless `open` is true; `io_error` if the port is
 *   taken; `malformed`, `wrong_key` for what a certificate cannot be used for; `shutting_down` when it was given up
 */
export async function createServer(
  given: Partial<Config> = {},
  logger: ServerLogger = SILENT,
  giveUp: AbortSignal = new AbortController().signal,
): Promise<RunningServer> {
  const config = loadConfig({ values: given })
  const events = new MetaEvents()
  const meters = createLogMeters()
  // Absolute, so that responses can remove every path from a message.
  const folder = resolve(config.data)
  // Before the logs: an unusable certificate is reported before anything is opened.
  const tls = await Tls.open(config, { logger, events, nowMs: Date.now })
  const disk = { freeBytes: () => freeBytes(folder), minFreeBytes: config['min-free-bytes'] }
  const host = await Host.open({
    folder,
    giveUp,
    settings: logSettings(config),
    openWithinMs: OPEN_WITHIN_MS,
    reopenAfterMs: REOPEN_AFTER_MS,
    reopenAtMostMs: REOPEN_AT_MOST_MS,
    roomToReopenBytes: config['min-free-bytes'] / ROOM_TO_REOPEN_SHARE,
    openWrites: config.open,
    scrubBytesPerSecond: config['scrub-bytes-per-second'],
    observe: (name) => meters.observer(name),
    events: hostReports({ logger, events, meters, maxAheadMs: config['max-head-ahead-seconds'] * 1000 }),
  })
  try {
    checkWanted(giveUp)
    checkServable(host, config.data)
    const target = metaTarget(host)
    const access = await openAccess(folder, target, {
      open: config.open,
      nowMs: Date.now,
      maxKeyMs: maxKeyMsOf(config),
    })
    const stopping = new AbortController()
    await sayStarted(access, {
      folder: config.data,
      server: { version: packageVersion(), options: config, sizes: () => sizesOf(host) },
      target,
      logger,
      retryMs: REOPEN_AFTER_MS,
      stopping: stopping.signal,
    })
    const { meta } = access
    if (meta) events.attach(meta)
    const makeRoom = (logs: number): void => {
      checkOpenFiles(logs, openFileLimit())
      server.maxConnections = withinOpenFiles(httpLimits(config), logs, logger).maxConnections
    }
    const server = createHttpServer({
      logs: host,
      ...(tls ? { tls: tls.current } : {}),
      limits: withinOpenFiles(httpLimits(config), host.list().length, logger),
      trustedProxies: proxiesOf(config),
      keyring: access.keyring,
      gate: gateOf(config, host, access),
      ...(meta
        ? {
            trail: meta,
            administration: servedAdministration({
              folder,
              host,
              meta,
              makeRoom,
              publicUrl: config['public-url'],
            }),
          }
        : {}),
      logger,
      disk,
      slowRequestMs: config['slow-request-ms'],
      metrics: createMetrics(host, Date.now, {
        meters,
        freeBytes: disk.freeBytes,
        keysEnding: () => access.keyring.state.keys.filter((key) => endsSoon(key, Date.now())).length,
        certificateEndMs: () => tls?.current.notAfterMs,
        trail: access.meta && (() => access.meta!.status),
        linesLost: (logger as Pick<ServerLog, 'linesLost'>).linesLost,
      }),
      nowMs: Date.now,
      stopping: stopping.signal,
    })
    tls?.attach(server)
    checkWanted(giveUp)
    const url = await listen(server, config)
    logger.info({ url, ...(tls ? { certificate: tls.current.fingerprint } : {}) }, 'listening')
    return {
      url,
      logs: host,
      ...(tls ? { reloadTls: () => tls.reload() } : {}),
      close: async () => {
        stopping.abort()
        await stopListening(server, () => closeLogs(host, access))
        logger.info({}, 'stopped')
      },
    }
  } catch (error) {
    await host.close()
    throw error
  }
}

function checkWanted(giveUp: AbortSignal): void {
  if (giveUp.aborted) throw new SteleError('shutting_down', 'told to stop before it listened')
}

function proxiesOf(config: Config): AddressSet | undefined {
  const proxies = listOf(config['trusted-proxies'])
  return proxies.length === 0 ? undefined : parseAddressSet(proxies, 'trusted-proxies')
}

function gateOf(config: Config, host: Host, { keyring }: Access): ReturnType<typeof createGate> {
  return createGate({
    logs: host,
    keyring,
    rates: new RequestRates({
      perAddress: config['address-requests-per-second'],
      perKey: config['key-requests-per-second'],
    }),
    tokens: tokenReader(config.identity),
    openMetrics: config.open || config['open-metrics'],
    publicNames: isLoopbackName(config.host) ? publicNamesOf(config) : undefined,
    trustedProxies: proxiesOf(config),
  })
}

/** The host name in public-url, which a proxy may send. */
function publicNamesOf({ 'public-url': url }: Config): string[] {
  // Without the brackets of an IPv6 address, like the names that it is compared with.
  return url === '' ? [] : [new URL(url).hostname.replace(/^\[|\]$/g, '')]
}

/** The meta log of the host at the moment of use. It may close and open again while the server runs. */
function metaTarget(host: Host): MetaTarget {
  return {
    get log() {
      return host.get(META_LOG)?.log
    },
  }
}

/** The meta log closes last, since requests answered while the other logs close are recorded in it. */
function closeLogs(host: Host, { meta }: Access): Promise<void> {
  if (!meta) return host.close()
  return host.close({
    name: META_LOG,
    before: () => meta.close({ kind: 'stop' }),
  })
}

/** The sizes of the open logs, without the meta log, to which they are written. */
function sizesOf(host: Host): { log: string; size: number }[] {
  return host.list().flatMap(({ name, log }) => {
    return log && name !== META_LOG ? [{ log: name, size: log.integrated.size }] : []
  })
}

/** The server starts if at least one log is open or being opened, and leaves the others to the operator. */
function checkServable(host: Host, folder: string): void {
  const logs = host.list().filter(({ name }) => name !== META_LOG)
  if (logs.length === 0) {
    throw new SteleError(
      'not_initialised',
      `${folder}: there is no log in it; "stele log create <name>" makes one`,
    )
  }
  const [first] = logs
  if (first?.failure && logs.every(({ log, failure }) => !log && failure !== BEING_OPENED))
    throw first.failure
}

function withinOpenFiles(limits: HttpLimits, logs: number, logger: ServerLogger): HttpLimits {
  const files = openFileLimit()
  const maxConnections = affordableConnections(limits.maxConnections, logs, files)
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
