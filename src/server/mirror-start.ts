import { systemClock } from '../client/clock.ts'
import { HttpFiles, logPrefix } from '../client/http-files.ts'
import { Transport } from '../client/transport.ts'
import { createMirrorMetrics, type MirrorMetrics } from '../http/mirror-metrics.ts'
import { createMirrorServer } from '../http/mirror-server.ts'
import type { ScrubClock } from '../log/scrub-clock.ts'
import type { ScrubEvents } from '../log/scrub-options.ts'
import { ScrubTurns } from '../log/scrub-turns.ts'
import { Follower } from '../mirror/follower.ts'
import type { MirroredLog } from '../mirror/log.ts'
import { Mirror } from '../mirror/mirror.ts'
import { openMirrorState } from '../mirror/open.ts'
import { Tickets } from '../mirror/ticket.ts'
import { formatVerifierKey } from '../note/key.ts'
import { verifiersOf, type WitnessKey } from '../witness/keys.ts'
import { readApiKeyFile, withApiKey } from './api-key-file.ts'
import { openCosignerFolder, type RunningCosigner } from './cosigner-start.ts'
import { evidenceReports } from './evidence-reports.ts'
import { readFileIfAny, replaceFile } from '../storage/files.ts'
import { listen, stopListening } from './listen.ts'
import type { ListedLog } from './log-list.ts'
import { mirrorLimits, type MirrorConfig } from './mirror-config.ts'
import { copyPaths, readTicketKey, scrubFile } from './mirror-folder.ts'
import { learnMirroredKeys, readMirroredLogs } from './mirror-keys.ts'
import type { ServerLog } from './server-log.ts'

export interface RunningMirror extends RunningCosigner {
  readonly mirror: Mirror
}

/** How long one question to a log is tried again, before the round is given up. */
const PATIENCE_MS = 15_000

/**
 * Opens a mirror folder, serves its copies, and follows the logs that have a URL.
 *
 * @throws SteleError as `openCosignerFolder`, `readTicketKey`, `readLogList` and `openMirrorState`; `io_error` if the port
 *   is taken
 */
export async function startMirror(
  config: MirrorConfig,
  logger: ServerLog,
  nowMs: () => number = Date.now,
  scrubClock?: ScrubClock,
): Promise<RunningMirror> {
  const { keys, evidence } = await openCosignerFolder('mirror', config.data)
  const tickets = new Tickets(await readTicketKey(config.data))
  const list = await withApiKeys(await readMirroredLogs(config.data, verifiersOf(keys)))
  const logs = await openCopies(list, keys, { config, nowMs, logger })
  try {
    if (config['scrub-bytes-per-second'] > 0) startScrubbing(logs, config, scrubClock)
    const metrics = createMirrorMetrics(logs, nowMs, logger.linesLost)
    const events = evidenceReports(evidence, metrics, logger)
    const mirror = new Mirror({ logs, keys, tickets, evidence, events, nowMs })
    return await serve(mirror, list, { config, metrics, logger, nowMs })
  } catch (error) {
    await Promise.all(logs.map((log) => log.close()))
    throw error
  }
}

/** A log to be followed, with the API key that its URL is shown. */
interface FollowedLog extends ListedLog {
  readonly apiKey?: string | undefined
}

async function withApiKeys(list: readonly ListedLog[]): Promise<FollowedLog[]> {
  return Promise.all(
    list.map(async (log) => {
      return log.apiKeyFile === undefined ? log : { ...log, apiKey: await readApiKeyFile(log.apiKeyFile) }
    }),
  )
}

async function openCopies(
  list: readonly ListedLog[],
  keys: readonly WitnessKey[],
  { config, nowMs, logger }: Pick<Serving, 'config' | 'nowMs' | 'logger'>,
): Promise<MirroredLog[]> {
  const opened: MirroredLog[] = []
  try {
    for (const { origin, keys: logKeys, url } of list) {
      const damage = damageReports(origin, logger)
      const cacheBytes = config['cache-bytes']
      const parts = { log: { origin, keys: logKeys }, url, keys, nowMs, cacheBytes, damage }
      opened.push(await openMirrorState(copyPaths(config.data, origin), parts))
    }
    return opened
  } catch (error) {
    await Promise.all(opened.map((log) => log.close()))
    throw error
  }
}

/** One at a time reads, so that many copies do not keep a disk from everything else. */
function startScrubbing(logs: readonly MirroredLog[], config: MirrorConfig, clock?: ScrubClock): void {
  const turns = new ScrubTurns()
  for (const log of logs) {
    const path = scrubFile(config.data, log.origin)
    log.startScrubbing({
      bytesPerSecond: config['scrub-bytes-per-second'],
      cursor: { read: () => readFileIfAny(path), write: (bytes) => replaceFile(path, bytes, 0o600) },
      turns,
      ...(clock ? { clock } : {}),
    })
  }
}

/** What is damaged of a copy, as lines of the mirror's own log. */
function damageReports(origin: string, logger: ServerLog): ScrubEvents {
  return {
    onFinding({ place, expected, found, message }) {
      const fields = { origin, code: 'corrupt', place, expected, found }
      logger.error(fields, `a copy is DAMAGED, and nothing is cosigned for it: ${message}`)
    },
    onCleared: ({ place }) => logger.info({ origin, place }, `${place} is good again`),
    onReadError: ({ code, message }) =>
      logger.warn({ origin, code }, `reading a copy again failed: ${message}`),
  }
}

interface Serving {
  readonly config: MirrorConfig
  readonly metrics: MirrorMetrics
  readonly logger: ServerLog
  readonly nowMs: () => number
}

async function serve(mirror: Mirror, list: readonly FollowedLog[], serving: Serving): Promise<RunningMirror> {
  const { config, metrics, logger, nowMs } = serving
  const stopping = new AbortController()
  const limits = mirrorLimits(config)
  const server = createMirrorServer({ mirror, limits, nowMs, metrics, logger, stopping: stopping.signal })
  const url = await listen(server, config)
  const following = followAll(mirror, list, serving, stopping.signal)
  logger.info({ url, logs: mirror.logs.length, followed: following.length }, 'listening')
  return {
    url,
    mirror,
    logs: mirror.logs,
    async close() {
      stopping.abort()
      await stopListening(server, async () => {
        await Promise.all(following)
        await mirror.close()
      })
      logger.info('stopped')
    },
  }
}

function followAll(
  mirror: Mirror,
  list: readonly FollowedLog[],
  { config, metrics, logger }: Serving,
  signal: AbortSignal,
): Promise<void>[] {
  const own = verifiersOf(mirror.keys)
  return list.flatMap(({ origin, url, apiKey }) => {
    const log = mirror.logs.find((other) => other.origin === origin)
    if (url === undefined || !log) return []
    const transport = new Transport({ headers: withApiKey(apiKey) })
    const limits = { deadlineMs: PATIENCE_MS, signal }
    const learning = { folder: config.data, own, source: { prefix: logPrefix(url), transport, limits } }
    const follower = new Follower({
      log,
      mirror,
      files: new HttpFiles(url, transport, limits),
      async learnKeys(note) {
        const keys = await learnMirroredKeys(learning, log.log, note)
        const added = keys.slice(log.log.keys.length).map(formatVerifierKey)
        logger.warn({ origin, url, keys: added }, 'new keys are believed: a known one has announced them')
        return keys
      },
      clock: systemClock,
      intervalMs: config['poll-seconds'] * 1000,
      onRepaired({ repaired, lost, examples }) {
        logger.warn({ origin, url, repaired, lost, examples }, 'what was damaged was read from the log again')
      },
      onTrouble(error) {
        metrics.trouble(origin, error.code)
        if (['unauthenticated', 'forbidden'].includes(error.code)) {
          const what = apiKey === undefined ? 'asks for an API key, and has none' : 'REFUSES its API key'
          logger.error({ origin, url, code: error.code, err: error }, `the log ${what}; it is asked again`)
          return
        }
        logger.warn({ origin, url, code: error.code, err: error }, 'following failed, and is tried again')
      },
      onStopped(error) {
        const fields = { origin, url, code: error.code, err: error }
        logger.error(fields, 'FOLLOWING STOPPED: nothing more is taken of this log or cosigned for it')
      },
    })
    return [follower.run(signal)]
  })
}
