import { parseBase64 } from '../bytes/base64.ts'
import { SteleError } from '../errors.ts'
import type { HostedLog } from '../http/directory.ts'
import type { Log } from '../log/log.ts'
import type { ScrubStatus } from '../log/scrub-options.ts'
import type { ScrubTurns } from '../log/scrub-turns.ts'
import type { Scrubber } from '../log/scrubber.ts'
import { readLogInfo, type LogInfo, type LogKey } from './data-folder.ts'
import { freeBytes } from './disk-room.ts'
import type { HostOptions } from './host-options.ts'
import { startScrubber } from './log-scrubber.ts'
import { mayHeal, openStoredLog } from './open-log.ts'

/** One log and the watch over it: opened again after a failure that may pass, left alone after any other. */
export class Hosted implements HostedLog {
  readonly name: string
  readonly #options: HostOptions
  readonly #turns: ScrubTurns
  #info: LogInfo | undefined
  #log: Log | undefined
  #scrubber: Scrubber | undefined
  #failure: SteleError | undefined
  /** What it waits for before it is opened again. */
  #wantsRoom: string | undefined
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #opening: Promise<void> = Promise.resolve()

  private constructor(name: string, options: HostOptions, turns: ScrubTurns) {
    this.name = name
    this.#options = options
    this.#turns = turns
  }

  /** @param turns of the scrubbers of this process */
  static async open(name: string, options: HostOptions, turns: ScrubTurns): Promise<Hosted> {
    const hosted = new Hosted(name, options, turns)
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

  scrubNow(): void {
    this.#scrubber?.passNow()
  }

  get failure(): SteleError | undefined {
    const failure = this.#failure ?? this.#log?.failure
    return failure && this.#wantsRoom !== undefined ? saying(failure, this.#wantsRoom) : failure
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
    if (this.#stopped) throw hostStopping()
    clearTimeout(this.#timer)
    const log = this.#log
    this.#failure = new SteleError('log_halted', 'the log is being changed', {
      retryAfterSeconds: 2,
    })
    this.#log = undefined
    await this.#stopScrubber()
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
      this.#scrubber = startScrubber(this.name, log, this.#options, this.#turns)
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
    this.#failure ??= halted?.failure
    this.#log = undefined
    await this.#stopScrubber()
    await halted?.close()
    await this.#open(nextWaitMs)
  }

  /**
   * LevelDB writes new files when it opens: without room for them, opening would only lose the readers too. A disk that cannot
   * even be asked is one to come back to later: nobody else waits for the answer.
   */
  async #hasRoom(): Promise<boolean> {
    const { folder, roomToReopenBytes: neededBytes = 0, events } = this.#options
    const free = await freeBytes(folder)
    const wanted = this.#wantsRoom
    this.#wantsRoom = free !== undefined && free >= neededBytes ? undefined : roomInWords(neededBytes, free)
    if (this.#wantsRoom === undefined) return true
    if (wanted === undefined) events.waitsForRoom?.(this.name, { neededBytes, freeBytes: free })
    return false
  }
}

function roomInWords(neededBytes: number, free: number | undefined): string {
  const found = free === undefined ? 'does not say what is free' : `has ${free}`
  return `It is opened again when the disk of the data folder has ${neededBytes} bytes free, a quarter of min-free-bytes; it ${found}`
}

function saying({ code, message, cause, retryAfterSeconds }: SteleError, more: string): SteleError {
  const retry = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
  return new SteleError(code, `${message}. ${more}`, { cause, ...retry })
}

/** What is said of a log to whoever wants to change it while the server stops. */
export function hostStopping(): SteleError {
  return new SteleError('shutting_down', 'the server is stopping; nothing was changed')
}

function unexpected(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `opening the log failed unexpectedly: ${message}`, { cause: error })
}
