import { systemClock } from '../client/clock.ts'
import { HttpFiles, logPrefix } from '../client/http-files.ts'
import { Transport } from '../client/transport.ts'
import { hasCode, type SteleError } from '../errors.ts'
import type { MirrorMetrics } from './metrics.ts'
import { type ScrubClock, type ScrubEvents, ScrubTurns } from '../scrub/scrub-options.ts'
import { Follower } from './follower.ts'
import type { MirroredLog } from './log.ts'
import type { Mirror } from './mirror.ts'
import { openMirrorState } from './open.ts'
import { formatVerifierKey } from '../note/key.ts'
import { readFileIfAny, replaceFile } from '../storage/files.ts'
import { verifiersOf } from '../witness/keys.ts'
import { readApiKeyFile, withApiKey } from '../access/api-key-file.ts'
import type { ListedLog } from '../witness/log-list.ts'
import { copyPaths, type MirrorConfig, scrubFile } from './config.ts'
import { currentKeys, learnMirroredKeys } from './keys.ts'
import type { ServerLog } from '../http/server-log.ts'

/** How long a request to a log is retried before the round ends. */
const PATIENCE_MS = 15_000

/** What copies are opened and followed with. */
export interface CopiesParts {
  readonly mirror: Mirror
  readonly config: MirrorConfig
  readonly metrics: MirrorMetrics
  readonly logger: ServerLog
  readonly nowMs: () => number
  readonly scrubClock?: ScrubClock | undefined
}

/** A log that is open, and how it is followed. */
interface Copy {
  readonly log: MirroredLog
  readonly listed: ListedLog
  readonly apiKey: string | undefined
  readonly stop: AbortController
  readonly following: Promise<void> | undefined
}

/** Errors of the copy itself, for which a retry is useless. Other copies are not affected. */
const BROKEN = [
  'corrupt',
  'rolled_back',
  'head_missing',
  'not_initialised',
  'foreign_format',
  'wrong_key',
  'untrusted_signer',
] as const

/**
 * Opens, follows, scrubs and closes the copies of a mirror as its list changes. Owner of the set of open copies. A
 * dropped copy is closed when the last request that uses it has ended. A copy that is broken at the start stays closed
 * until the list is read again; requests for it, and readiness, report the reason.
 */
export class MirrorCopies {
  readonly #parts: CopiesParts
  /** One copy at a time is scrubbed, so that many copies do not occupy the disk. */
  readonly #scrubTurns = new ScrubTurns()
  #copies = new Map<string, Copy>()
  readonly #leaving = new Map<string, MirroredLog>()
  /** By origin. */
  #unopened: ReadonlyMap<string, SteleError> = new Map()

  constructor(parts: CopiesParts) {
    this.#parts = parts
  }

  /** How many logs are followed. */
  get followed(): number {
    return [...this.#copies.values()].filter(({ following }) => following !== undefined).length
  }

  /**
   * Opens the copies at the start. Broken ones stay closed and are logged, unless all are broken.
   *
   * @throws SteleError as {@link apply}
   */
  async start(list: readonly ListedLog[]): Promise<void> {
    await this.#apply(list, () => true)
    const [failure] = this.#unopened.values()
    if (failure && this.#copies.size === 0) throw failure
  }

  /**
   * Has copies of exactly these logs. One that could not be opened before is tried again, and may fail again.
   *
   * @throws SteleError as `openMirrorState`, `readApiKeyFile` and `currentKeys`, for any other of them; `untrusted_signer`
   *   for a log whose new keys have not signed what is stored. Then the copies are those of before
   */
  apply(list: readonly ListedLog[]): Promise<void> {
    return this.#apply(list, (origin) => this.#unopened.has(origin))
  }

  async #apply(list: readonly ListedLog[], mayFail: (origin: string) => boolean): Promise<void> {
    const prepared: Pick<Copy, 'listed' | 'apiKey' | 'log'>[] = []
    const opened: MirroredLog[] = []
    const unopened = new Map<string, SteleError>()
    try {
      for (const entry of list) {
        const there = this.#copies.get(entry.origin)?.log
        try {
          const copy = await this.#prepare(entry, there)
          if (!there) opened.push(copy.log)
          prepared.push(copy)
        } catch (error) {
          if (there || !hasCode(error, ...BROKEN) || !mayFail(entry.origin)) throw error
          unopened.set(entry.origin, error)
          this.#tellUnopened(entry.origin, error)
        }
      }
      // All checks come first, and change nothing.
      for (const { log, listed } of prepared) log.checkRelisting(listed)
      this.#parts.mirror.checkLogs(prepared.map(({ listed }) => listed))
    } catch (error) {
      for (const log of opened) void this.#leave(log)
      throw error
    }
    for (const { log, listed } of prepared) log.relist(listed, listed.url)
    this.#unopened = unopened
    await this.#replace(new Map(prepared.map((one) => [one.listed.origin, one])))
  }

  async #prepare(
    entry: ListedLog,
    there: MirroredLog | undefined,
  ): Promise<Pick<Copy, 'listed' | 'apiKey' | 'log'>> {
    const listed = { ...entry, keys: await currentKeys(this.#parts.config.data, entry) }
    const apiKey = listed.apiKeyFile === undefined ? undefined : await readApiKeyFile(listed.apiKeyFile)
    return { listed, apiKey, log: there ?? (await this.#open(listed)) }
  }

  #tellUnopened(origin: string, error: SteleError): void {
    const { logger } = this.#parts
    const fields = { origin, code: error.code, err: error }
    logger.error(
      fields,
      `a copy CANNOT BE OPENED; nothing is served of it or cosigned for it: ${error.message}`,
    )
  }

  /** Stops following, waits for steps in progress, and closes all files. */
  async close(): Promise<void> {
    for (const { stop } of this.#copies.values()) stop.abort()
    const logs = [...this.#copies.values()].map(({ log }) => log)
    await Promise.all([...this.#copies.values()].map(async ({ following }) => following))
    await Promise.all([...logs, ...this.#leaving.values()].map((log) => log.close()))
  }

  async #replace(next: ReadonlyMap<string, Pick<Copy, 'listed' | 'apiKey' | 'log'>>): Promise<void> {
    const before = this.#copies
    const copies = new Map<string, Copy>()
    this.#parts.mirror.replaceLogs(
      [...next.values()].map(({ log }) => log),
      this.#unopened,
    )
    for (const [origin, copy] of before) {
      const wanted = next.get(origin)
      if (wanted && isFollowedAlike(copy, wanted)) continue
      copy.stop.abort()
      await copy.following
      if (!wanted) void this.#leave(copy.log)
    }
    for (const [origin, wanted] of next) {
      const copy = before.get(origin)
      if (copy && !copy.stop.signal.aborted) copies.set(origin, { ...copy, listed: wanted.listed })
      else copies.set(origin, this.#follow(wanted))
    }
    this.#copies = copies
  }

  /** Opens a copy, or takes back one that was dropped and is still in use. */
  async #open(listed: ListedLog): Promise<MirroredLog> {
    const { origin, keys, url } = listed
    const { config, logger, mirror, nowMs } = this.#parts
    const leaving = this.#leaving.get(origin)
    if (leaving && !leaving.isClosing) {
      this.#leaving.delete(origin)
      return leaving
    }
    await leaving?.close()
    const log = await openMirrorState(copyPaths(config.data, origin), {
      log: { origin, keys },
      url,
      keys: mirror.keys,
      nowMs,
      cacheBytes: config['cache-bytes'],
      damage: damageReports(origin, logger),
    })
    if (config['scrub-bytes-per-second'] > 0) this.#scrub(log)
    return log
  }

  #scrub(log: MirroredLog): void {
    const { config, scrubClock } = this.#parts
    const path = scrubFile(config.data, log.origin)
    log.startScrubbing({
      bytesPerSecond: config['scrub-bytes-per-second'],
      cursor: { read: () => readFileIfAny(path), write: (bytes) => replaceFile(path, bytes, 0o600) },
      turns: this.#scrubTurns,
      ...(scrubClock ? { clock: scrubClock } : {}),
    })
  }

  async #leave(log: MirroredLog): Promise<void> {
    this.#leaving.set(log.origin, log)
    await log.unheld()
    // It may have come back meanwhile.
    if (this.#leaving.get(log.origin) !== log) return
    await log.close().catch((error: unknown) => {
      this.#parts.logger.error({ origin: log.origin, err: error }, 'closing a dropped copy failed')
    })
    this.#leaving.delete(log.origin)
  }

  #follow({ listed, apiKey, log }: Pick<Copy, 'listed' | 'apiKey' | 'log'>): Copy {
    const stop = new AbortController()
    const { url } = listed
    const copy = { listed, apiKey, log, stop }
    if (url === undefined) return { ...copy, following: undefined }
    return {
      ...copy,
      following: this.#followerOf({ ...listed, url }, apiKey, log, stop.signal).run(stop.signal),
    }
  }

  #followerOf(
    { origin, url }: ListedLog & { readonly url: string },
    apiKey: string | undefined,
    log: MirroredLog,
    signal: AbortSignal,
  ): Follower {
    const { mirror, config, metrics, logger } = this.#parts
    const transport = new Transport({ headers: withApiKey(apiKey) })
    const limits = { deadlineMs: PATIENCE_MS, signal }
    const source = { prefix: logPrefix(url), transport, limits }
    const learning = { folder: config.data, own: verifiersOf(mirror.keys), source }
    return new Follower({
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
  }
}

function isFollowedAlike({ listed, apiKey }: Copy, wanted: Pick<Copy, 'listed' | 'apiKey'>): boolean {
  return listed.url === wanted.listed.url && apiKey === wanted.apiKey
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
