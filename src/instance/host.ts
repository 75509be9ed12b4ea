import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { FreezeRequest } from '../log/lifecycle.ts'
import type { SignedHead } from '../log/head.ts'
import type { Log } from '../log/log.ts'
import type { LogObserver } from '../log/observer.ts'
import { type ScrubClock, type ScrubEvents, ScrubTurns } from '../scrub/scrub-options.ts'
import type { KeyChange } from './change-keys.ts'
import { listLogs } from './data-folder.ts'
import { type HostedLog, type LogDirectory, openedLog } from './directory.ts'
import { freezeLog, type Frozen } from './freeze.ts'
import { BEING_OPENED, Hosted, hostStopping } from './hosted.ts'
import type { LogSettings } from './open-log.ts'
import type { Announce } from './plan.ts'

/**
 * The logs of one data folder. They are independent: when one fails, the others keep serving. Owner of the set of open
 * logs.
 */
export class Host implements LogDirectory {
  #logs: ReadonlyMap<string, Hosted>
  readonly #options: HostOptions
  readonly #turns: ScrubTurns
  /** Logs that are being opened for the first time. */
  readonly #adding = new Set<Promise<unknown>>()
  #stopping = false

  readonly #events: HostEvents

  private constructor(logs: ReadonlyMap<string, Hosted>, options: HostOptions, turns: ScrubTurns) {
    this.#logs = logs
    this.#options = options
    this.#turns = turns
    this.#events = options.events
  }

  /**
   * Opens every log of the folder, one after the other. Logs that cannot be opened are listed with the reason, and so
   * are logs that are still being opened because a disk hangs.
   */
  static async open(options: HostOptions): Promise<Host> {
    const logs = new Map<string, Hosted>()
    const turns = new ScrubTurns()
    let patienceMs = options.openWithinMs
    for (const name of await listLogs(options.folder)) {
      if (options.giveUp?.aborted) break
      const hosted = await Hosted.open(name, options, turns, patienceMs)
      // The other logs may be on the same disk, and each would be waited for as long.
      if (hosted.failure === BEING_OPENED) patienceMs = 0
      logs.set(name, hosted)
    }
    return new Host(logs, options, turns)
  }

  get(name: string): HostedLog | undefined {
    return this.#logs.get(name)
  }

  list(): readonly HostedLog[] {
    return [...this.#logs.values()]
  }

  /**
   * Opens a log that was made after the others were opened.
   *
   * @throws SteleError `shutting_down`
   */
  async add(name: string): Promise<void> {
    const adding = this.#add(name)
    this.#adding.add(adding)
    await adding.finally(() => this.#adding.delete(adding))
  }

  async #add(name: string): Promise<void> {
    if (this.#stopping) throw hostStopping()
    const hosted = await Hosted.open(name, this.#options, this.#turns, this.#options.openWithinMs)
    const logs = [...this.#logs, [name, hosted] as const]
    this.#logs = new Map(logs.toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  /**
   * Freezes a log permanently, after committing all admitted entries.
   *
   * @throws SteleError `not_found`, `log_halted`; as `Log.freeze`
   */
  async freeze(name: string, request: FreezeRequest, announce?: Announce): Promise<Frozen> {
    const { log } = openedLog(this, name)
    const frozen = await freezeLog(log, request, announce)
    this.#events.frozen?.(name, frozen.head)
    return frozen
  }

  /** Changes the keys of a log: `addKey`, `rotateKey` or `retireKey`. @throws SteleError as {@link whileClosed} */
  async changeKeys(name: string, change: () => Promise<KeyChange>): Promise<KeyChange> {
    const changed = await this.whileClosed(name, change)
    this.#events.keysChanged?.(name, changed.statements)
    return changed
  }

  /**
   * Runs a task on the files of a log. The log is closed before and opened again after it, so for a moment it answers
   * `log_halted`. Entries that it has admitted are committed first.
   *
   * @throws SteleError `not_found`; what the task throws, and then the log is reopened unchanged
   */
  async whileClosed<T>(name: string, task: () => Promise<T>): Promise<T> {
    const hosted = this.#logs.get(name)
    if (!hosted) throw new SteleError('not_found', `log: expected one of this server, got ${excerpt(name)}`)
    return hosted.whileClosed(task)
  }

  /**
   * Closes all logs: each refuses new entries, commits those it admitted, and closes.
   *
   * @param last a log that stays open until the others have closed, and a task to run before it closes too
   */
  async close(last?: { readonly name: string; readonly before: () => Promise<void> }): Promise<void> {
    this.#stopping = true
    await Promise.allSettled(this.#adding)
    const final = last && this.#logs.get(last.name)
    await Promise.all([...this.#logs.values()].filter((log) => log !== final).map((hosted) => hosted.close()))
    await last?.before()
    await final?.close()
  }
}

/** Events of logs, for the server's own log. */
export interface HostEvents {
  opened(name: string, log: Log, tookMs: number): void
  failed(name: string, failure: SteleError): void
  /** A log that stopped is not opened again before this much space is free. */
  waitsForRoom?(
    name: string,
    room: { readonly neededBytes: number; readonly freeBytes: number | undefined },
  ): void
  witnessCosigned?(name: string, witness: string, tookMs: number): void
  witnessFailed(name: string, witness: string, failure: SteleError): void
  publishedWithoutQuorum(name: string, reason: SteleError): void
  /** Receives the events of a log's scrubber. */
  scrub?(name: string): ScrubEvents
  /** Old keys have announced a new one, in signed notes: for a record of the log's keys. */
  keysChanged?(name: string, statements: readonly string[]): void
  frozen?(name: string, final: SignedHead): void
}

export interface HostOptions {
  readonly folder: string
  /** Aborted to skip the logs that were not opened yet. */
  readonly giveUp?: AbortSignal
  readonly settings: LogSettings
  /** Total time to wait for logs that open slowly. They go on opening in the background. */
  readonly openWithinMs: number
  /** First and longest delay before a log that stopped for lack of space is opened again. */
  readonly reopenAfterMs: number
  readonly reopenAtMostMs: number
  /** A log that stopped is not opened again with less free space than this, because opening writes to the disk. */
  readonly roomToReopenBytes?: number
  /** Everyone may append: only for a server that no other machine can reach. */
  readonly openWrites: boolean
  readonly events: HostEvents
  /** Rate of each log's scrubber; if absent or 0, logs are not scrubbed. */
  readonly scrubBytesPerSecond?: number
  readonly scrubClock?: ScrubClock
  /** Makes the observer that counts a log's events. */
  readonly observe?: (name: string) => LogObserver
}
