import { parseBase64 } from '../bytes/base64.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { openedLog, type HostedLog, type LogDirectory } from '../http/directory.ts'
import type { LastWords } from '../log/ending.ts'
import type { SignedHead } from '../log/head.ts'
import type { Log } from '../log/log.ts'
import type { ScrubClock, ScrubEvents, Scrubber, ScrubStatus } from '../log/scrubber.ts'
import { startScrubber } from './log-scrubber.ts'
import type { LogObserver } from '../log/observer.ts'
import { freeBytes } from './disk-room.ts'
import type { KeyChange } from './change-keys.ts'
import { listLogs, readLogInfo, type LogInfo, type LogKey } from './data-folder.ts'
import { freezeLog, type Frozen } from './freeze.ts'
import { mayHeal, openStoredLog, type LogSettings } from './open-log.ts'

/** What happens to logs, for whoever writes the server's own log. */
export interface HostEvents {
  opened(name: string, log: Log, tookMs: number): void
  failed(name: string, failure: SteleError): void
  witnessCosigned?(name: string, witness: string, tookMs: number): void
  witnessFailed(name: string, witness: string, failure: SteleError): void
  publishedWithoutQuorum(name: string, reason: SteleError): void
  /** What the scrubber of a log says. */
  scrub?(name: string): ScrubEvents
  /** Old keys have announced a new one: signed notes, for whoever keeps a record of a log's keys. */
  keysChanged?(name: string, statements: readonly string[]): void
  frozen?(name: string, final: SignedHead): void
}

export interface HostOptions {
  readonly folder: string
  readonly settings: LogSettings
  /** First and longest wait before a log that stopped for want of space is opened again. */
  readonly reopenAfterMs: number
  readonly reopenAtMostMs: number
  /** Anybody may append: only where nobody else can reach the server. */
  readonly openWrites: boolean
  readonly events: HostEvents
  /** Rate of each log's scrubber; without it, or at 0, there is none. */
  readonly scrubBytesPerSecond?: number
  readonly scrubClock?: ScrubClock
  /** Whoever counts what a log does. */
  readonly observe?: (name: string) => LogObserver
}

/** LevelDB writes new files when it opens: with less room than this, opening would only lose the readers too. */
const ROOM_TO_REOPEN_BYTES = 64 * 1024 * 1024

/**
 * The logs of one data folder, each on its own: one that fails leaves the others serving. Owner of which logs are
 * open.
 */
export class Host implements LogDirectory {
  readonly #logs: ReadonlyMap<string, Hosted>

  readonly #events: HostEvents

  private constructor(logs: ReadonlyMap<string, Hosted>, events: HostEvents) {
    this.#logs = logs
    this.#events = events
  }

  /** Opens every log of the folder. Logs that cannot be opened are listed with the reason. */
  static async open(options: HostOptions): Promise<Host> {
    const logs = new Map<string, Hosted>()
    for (const name of await listLogs(options.folder)) logs.set(name, await Hosted.open(name, options))
    return new Host(logs, options.events)
  }

  get(name: string): HostedLog | undefined {
    return this.#logs.get(name)
  }

  list(): readonly HostedLog[] {
    return [...this.#logs.values()]
  }

  /**
   * Ends a log for ever, after what it has admitted. What an administration calls.
   *
   * @throws SteleError `not_found`, `log_halted`; as `Log.freeze`
   */
  async freeze(name: string, words: LastWords): Promise<Frozen> {
    const { log } = openedLog(this, name)
    const frozen = await freezeLog(log, words)
    this.#events.frozen?.(name, frozen.head)
    return frozen
  }

  /**
   * Changes the keys of a log: `addKey`, `rotateKey` or `retireKey`. The log is closed and opened again around it, so for
   * a moment it answers `log_halted`; what it has admitted is committed first.
   *
   * @throws SteleError `not_found`; whatever the change throws, and then the log goes on as before
   */
  async changeKeys(name: string, change: () => Promise<KeyChange>): Promise<KeyChange> {
    const hosted = this.#logs.get(name)
    if (!hosted) throw new SteleError('not_found', `log: expected one of this server, got ${excerpt(name)}`)
    const changed = await hosted.whileClosed(change)
    this.#events.keysChanged?.(name, changed.statements)
    return changed
  }

  /**
   * Stops all logs: each refuses new entries, commits what it admitted, and closes.
   *
   * @param last a log that goes on until the others have closed, and what is to be done before it closes too
   */
  async close(last?: { readonly name: string; readonly before: () => Promise<void> }): Promise<void> {
    const final = last && this.#logs.get(last.name)
    await Promise.all([...this.#logs.values()].filter((log) => log !== final).map((hosted) => hosted.close()))
    await last?.before()
    await final?.close()
  }
}

/** One log and the watch over it: opened again after a failure that may pass, left alone after any other. */
class Hosted implements HostedLog {
  readonly name: string
  readonly #options: HostOptions
  #info: LogInfo | undefined
  #log: Log | undefined
  #scrubber: Scrubber | undefined
  #failure: SteleError | undefined
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #opening: Promise<void> = Promise.resolve()

  private constructor(name: string, options: HostOptions) {
    this.name = name
    this.#options = options
  }

  static async open(name: string, options: HostOptions): Promise<Hosted> {
    const hosted = new Hosted(name, options)
    await hosted.#open(options.reopenAfterMs)
    return hosted
  }

  get origin(): string {
    return this.#info?.origin ?? ''
  }

  get verifierKey(): string {
    return this.#info?.verifierKey ?? ''
  }

  get keys(): readonly LogKey[] {
    return this.#info?.keys ?? []
  }

  get rotations(): string {
    return this.#info?.rotations.join('') ?? ''
  }

  get treeHeadKey(): Uint8Array {
    return parseBase64(this.#info?.treeHeadKey ?? '', 'tree head key')
  }

  get allowDuplicates(): boolean {
    return this.#info?.allowDuplicates ?? false
  }

  /** Until it is known what a log is, it is not shown to anybody. */
  get reads(): LogInfo['reads'] {
    return this.#info?.reads ?? 'private'
  }

  get heads(): LogInfo['heads'] {
    return this.#info?.heads ?? 'closed'
  }

  get openWrites(): boolean {
    return this.#options.openWrites
  }

  get log(): Log | undefined {
    return this.#log
  }

  get scrub(): ScrubStatus | undefined {
    return this.#scrubber?.status
  }

  get failure(): SteleError | undefined {
    return this.#failure ?? this.#log?.failure
  }

  /** One at a time, and none while it is being opened again. */
  whileClosed<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#opening.then(() => this.#around(task))
    this.#opening = done.then(
      () => {},
      () => {},
    )
    return done
  }

  async #around<T>(task: () => Promise<T>): Promise<T> {
    if (this.#stopped) throw new SteleError('shutting_down', 'the server is stopping; nothing was changed')
    clearTimeout(this.#timer)
    const log = this.#log
    this.#failure = new SteleError('log_halted', 'the keys of the log are being changed', {
      retryAfterSeconds: 2,
    })
    this.#log = undefined
    await log?.close()
    try {
      return await task()
    } finally {
      await this.#open(this.#options.reopenAfterMs)
    }
  }

  async close(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#opening
    const log = this.#log
    // Whoever comes now is told, also to read: what is read from is about to be closed.
    this.#failure = new SteleError('shutting_down', 'the server is stopping', { retryAfterSeconds: 5 })
    this.#log = undefined
    await this.#stopScrubber()
    await log?.close()
  }

  async #open(waitMs: number): Promise<void> {
    const { folder, settings, events, observe } = this.#options
    const startedMs = performance.now()
    try {
      this.#info = await readLogInfo(folder, this.name)
      const log = await openStoredLog(folder, this.name, settings, {
        cosigned: (witness, tookMs) => events.witnessCosigned?.(this.name, witness, tookMs),
        failed: (witness, failure) => events.witnessFailed(this.name, witness, failure),
        publishedWithoutQuorum: (reason) => events.publishedWithoutQuorum(this.name, reason),
        ...(observe ? { observer: observe(this.name) } : {}),
      })
      this.#log = log
      this.#failure = undefined
      this.#scrubber = startScrubber(this.name, log, this.#options)
      events.opened(this.name, log, performance.now() - startedMs)
      void log.halted.then((failure) => this.#onFailure(failure, this.#options.reopenAfterMs))
    } catch (error) {
      this.#log = undefined
      this.#failure = error instanceof SteleError ? error : unexpected(error)
      this.#onFailure(this.#failure, waitMs)
    }
  }

  /** Before its log is closed: it reads from it. */
  async #stopScrubber(): Promise<void> {
    const scrubber = this.#scrubber
    this.#scrubber = undefined
    await scrubber?.close()
  }

  #onFailure(failure: SteleError, waitMs: number): void {
    this.#options.events.failed(this.name, failure)
    if (mayHeal(failure)) this.#openLater(waitMs)
  }

  #openLater(waitMs: number): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      this.#opening = this.#reopen(Math.min(waitMs * 2, this.#options.reopenAtMostMs))
    }, waitMs).unref()
  }

  /** Opening verifies everything, so a log comes back only if what is on disk is what was signed. */
  async #reopen(nextWaitMs: number): Promise<void> {
    if (!(await this.#hasRoom())) return this.#openLater(nextWaitMs)
    const halted = this.#log
    this.#failure = this.failure
    this.#log = undefined
    await this.#stopScrubber()
    await halted?.close()
    await this.#open(nextWaitMs)
  }

  /** A disk that cannot even be asked is one to come back to later: nobody else waits for the answer. */
  async #hasRoom(): Promise<boolean> {
    const free = await freeBytes(this.#options.folder)
    return free !== undefined && free >= ROOM_TO_REOPEN_BYTES
  }
}

function unexpected(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `opening the log failed unexpectedly: ${message}`, { cause: error })
}
