import { setTimeout as sleep } from 'node:timers/promises'
import { parseBase64 } from '../bytes/base64.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { ScrubFile } from '../scrub/scrub-cursor.ts'
import type { ScrubStatus, ScrubTurns } from '../scrub/scrub-options.ts'
import { Scrubber } from '../scrub/scrubber.ts'
import { readFileIfAny, replaceFile } from '../storage/files.ts'
import { logFiles, type LogInfo, type LogKey, readLogInfo } from './data-folder.ts'
import type { HostedLog } from './directory.ts'
import { freeBytes } from './disk-room.ts'
import type { HostOptions } from './host.ts'
import { mayHeal, openStoredLog } from './open-log.ts'

/** Refuses requests before a log was opened for the first time. */
export const BEING_OPENED = new SteleError('log_halted', 'the log is being opened', { retryAfterSeconds: 2 })

/** The state of a log as its callers see it. */
type State =
  | { readonly kind: 'open'; readonly log: Log; readonly scrubber: Scrubber | undefined }
  | { readonly kind: 'closed'; readonly failure: SteleError }

/** A command for the loop of a log. `retry`: no command arrived within the waiting time. */
type Command =
  | { readonly kind: 'retry' }
  | { readonly kind: 'halted'; readonly log: Log; readonly failure: SteleError }
  | {
      readonly kind: 'change'
      /** Resolves with a function that reports the result to the caller. */
      readonly run: () => Promise<() => void>
      readonly refuse: (reason: SteleError) => void
    }
  | { readonly kind: 'close' }

/**
 * One log and its supervision: it is opened again after a transient failure, and not after any other. A single loop
 * takes one command after another, and only this loop opens and closes the log, so a log closed for a change stays
 * closed.
 */
export class Hosted implements HostedLog {
  readonly name: string
  readonly #options: HostOptions
  readonly #turns: ScrubTurns
  readonly #commands = new Commands()
  #info: LogInfo | undefined
  /** Changed only by `#become`. */
  #state: State = closed(BEING_OPENED)
  /** The free space that it waits for before it is opened again. */
  #wantsRoom: string | undefined
  #stopped = false
  #running: Promise<void> = Promise.resolve()

  private constructor(name: string, options: HostOptions, turns: ScrubTurns) {
    this.name = name
    this.#options = options
    this.#turns = turns
  }

  /**
   * @param turns of the scrubbers of this process
   * @param patienceMs how long to wait until the log is open or has failed to open: a disk may hang. It continues to
   *   open in the background after that
   */
  static async open(
    name: string,
    options: HostOptions,
    turns: ScrubTurns,
    patienceMs: number,
  ): Promise<Hosted> {
    const hosted = new Hosted(name, options, turns)
    const tried = hosted.#open(options.reopenAfterMs)
    hosted.#running = tried.then((retryMs) => hosted.#run(retryMs))
    const patience = new AbortController()
    await Promise.race([tried, sleep(patienceMs, undefined, { signal: patience.signal }).catch(() => {})])
    patience.abort()
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

  /** Before its `log.json` was read, a log is shown to no caller. */
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
    return this.#state.kind === 'open' ? this.#state.log : undefined
  }

  get scrub(): ScrubStatus | undefined {
    return this.#state.kind === 'open' ? this.#state.scrubber?.status : undefined
  }

  scrubNow(): void {
    if (this.#state.kind === 'open') this.#state.scrubber?.passNow()
  }

  get failure(): SteleError | undefined {
    const failure = this.#state.kind === 'open' ? this.#state.log.failure : this.#state.failure
    return failure && this.#wantsRoom !== undefined ? saying(failure, this.#wantsRoom) : failure
  }

  /** Runs one task at a time. The log is opened again before this settles, whether the task succeeded or failed. */
  whileClosed<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(hostStopping())
      const run = (): Promise<() => void> =>
        task().then(
          (result) => () => resolve(result),
          (error: unknown) => () => reject(error),
        )
      this.#commands.push({ kind: 'change', run, refuse: reject })
    })
  }

  /** Finishes what is in progress, refuses waiting changes, and closes the log. */
  async close(): Promise<void> {
    this.#stopped = true
    this.#commands.push({ kind: 'close' })
    await this.#running
  }

  /** @param retryMs how long to wait before the log is opened again; undefined: until the next command */
  async #run(retryMs: number | undefined): Promise<void> {
    for (let waitMs = retryMs; ;) {
      const command = await this.#commands.next(waitMs)
      switch (command.kind) {
        case 'retry':
          waitMs = await this.#reopen(Math.min(waitMs! * 2, this.#options.reopenAtMostMs))
          break
        case 'halted':
          // A log that was closed meanwhile has been opened again already.
          if (command.log === this.log) waitMs = retryAfter(command.failure, this.#options.reopenAfterMs)
          break
        case 'change':
          if (this.#stopped) command.refuse(hostStopping())
          else waitMs = await this.#change(command.run)
          break
        case 'close':
          // From now on all callers get this error, readers included: their source is about to be closed.
          return this.#become(
            closed(new SteleError('shutting_down', 'the server is stopping', { retryAfterSeconds: 5 })),
          )
      }
    }
  }

  async #change(run: () => Promise<() => void>): Promise<number | undefined> {
    const changing = new SteleError('log_halted', 'the log is being changed', { retryAfterSeconds: 2 })
    await this.#become(closed(changing))
    const tell = await run()
    const retryMs = await this.#open(this.#options.reopenAfterMs)
    tell()
    return retryMs
  }

  /** Opening verifies everything, so a log comes back only if the disk holds what was signed. */
  async #reopen(nextWaitMs: number): Promise<number | undefined> {
    if (!(await this.#hasRoom())) return nextWaitMs
    if (this.failure) await this.#become(closed(this.failure))
    return this.#open(nextWaitMs)
  }

  /** @returns how long to wait before the next attempt; undefined if it is open, or if another attempt is useless */
  async #open(waitMs: number): Promise<number | undefined> {
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
      await this.#become({
        kind: 'open',
        log,
        scrubber: startScrubber(this.name, log, this.#options, this.#turns),
      })
      this.#wantsRoom = undefined
      events.opened(this.name, log, performance.now() - startedMs)
      void log.halted.then((failure) => {
        events.failed(this.name, failure)
        this.#commands.push({ kind: 'halted', log, failure })
      })
      return undefined
    } catch (error) {
      const failure = error instanceof SteleError ? error : unexpected(error)
      await this.#become(closed(failure))
      events.failed(this.name, failure)
      return retryAfter(failure, waitMs)
    }
  }

  /** Closes what was open, the scrubber first because it reads from the log. */
  async #become(state: State): Promise<void> {
    const before = this.#state
    this.#state = state
    if (before.kind !== 'open') return
    await before.scrubber?.close()
    await before.log.close()
  }

  /**
   * LevelDB writes new files when it opens. Without space for them, opening would fail and readers would lose the log
   * too. If the free space is unknown, the attempt is postponed; no caller waits for it.
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

/** The waiting commands, oldest first, for a single reader. */
class Commands {
  readonly #waiting: Command[] = []
  #wake: (() => void) | undefined

  push(command: Command): void {
    this.#waiting.push(command)
    this.#wake?.()
  }

  /** The oldest command; `retry` when none arrived within `withinMs`. */
  async next(withinMs: number | undefined): Promise<Command> {
    if (this.#waiting.length === 0) await this.#pushed(withinMs)
    return this.#waiting.shift() ?? { kind: 'retry' }
  }

  async #pushed(withinMs: number | undefined): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      if (withinMs !== undefined) timer = setTimeout(resolve, withinMs).unref()
    })
    clearTimeout(timer)
    this.#wake = undefined
  }
}

function closed(failure: SteleError): State {
  return { kind: 'closed', failure }
}

function retryAfter(failure: SteleError, waitMs: number): number | undefined {
  return mayHeal(failure) ? waitMs : undefined
}

function roomInWords(neededBytes: number, free: number | undefined): string {
  const found = free === undefined ? 'does not report its free space' : `has ${free}`
  return `It is opened again when the disk of the data folder has ${neededBytes} bytes free, a quarter of min-free-bytes; it ${found}`
}

function saying({ code, message, cause, retryAfterSeconds }: SteleError, more: string): SteleError {
  const retry = retryAfterSeconds === undefined ? {} : { retryAfterSeconds }
  return new SteleError(code, `${message}. ${more}`, { cause, ...retry })
}

/** Refuses a change to a log while the server stops. */
export function hostStopping(): SteleError {
  return new SteleError('shutting_down', 'the server is stopping; nothing was changed')
}

function unexpected(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `opening the log failed unexpectedly: ${message}`, { cause: error })
}

/** Starts the scrubber of an open log, unless scrubbing is disabled. Its cursor is in the log's folder. */
function startScrubber(
  name: string,
  log: Log,
  options: HostOptions,
  turns: ScrubTurns,
): Scrubber | undefined {
  const { folder, scrubBytesPerSecond = 0, scrubClock, events } = options
  if (scrubBytesPerSecond === 0) return undefined
  const { scrub } = logFiles(folder, name)
  return new Scrubber(log.stored, {
    bytesPerSecond: scrubBytesPerSecond,
    cursor: durableFile(scrub),
    turns,
    ...(events.scrub ? { events: events.scrub(name) } : {}),
    ...(scrubClock ? { clock: scrubClock } : {}),
  })
}

function durableFile(path: string): ScrubFile {
  return { read: () => readFileIfAny(path), write: (bytes) => replaceFile(path, bytes, 0o600) }
}
