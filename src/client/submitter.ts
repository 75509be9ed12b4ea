import { hasCode, SteleError } from '../errors.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import type { BatchReceipt } from './append.ts'
import { MAX_PROVEN_ENTRIES } from './answers.ts'
import type { LogClient } from './log-client.ts'

/** What becomes of entries that an application hands over and does not wait for. */
export interface SubmitterOptions {
  /**
   * Called with the entries that the log did not acknowledge, and why; the next ones are not sent before it is done. To
   * send the same bytes again later is safe: a log recognises what it has, unless it allows duplicates. With
   * `error.acknowledged` they are in the log, and their proof could not be checked.
   */
  readonly onUndelivered: (entries: readonly Uint8Array[], error: SteleError) => void | Promise<void>
  /** Called once entries are in the log, and were verified to be. */
  readonly onDelivered?:
    ((entries: readonly Uint8Array[], receipt: BatchReceipt) => void | Promise<void>) | undefined
  /** The most entries that wait; further ones are refused. Default 10,000. */
  readonly maxEntries?: number | undefined
  /** The most bytes that wait. Default 16 MiB. */
  readonly maxBytes?: number | undefined
}

const DEFAULT_MAX_ENTRIES = 10_000
const DEFAULT_MAX_BYTES = 16 * 1024 * 1024
// Below what any server takes in one request; a batch is logged whole or not at all.
const MAX_BATCH_BYTES = 1024 * 1024

/**
 * Sends entries to a log in the background, for applications that must not wait for it or fail with it. Every entry is
 * either acknowledged by the log or passed to `onUndelivered`, once; none is dropped silently. Entries are logged in
 * order, except for undelivered ones.
 */
export function openSubmitter(log: Pick<LogClient, 'appendBatch'>, options: SubmitterOptions): Submitter {
  return new Submitter(log, options)
}

/** See {@link openSubmitter}. Owner of the entries that wait. */
export class Submitter {
  readonly #log: Pick<LogClient, 'appendBatch'>
  readonly #options: SubmitterOptions
  #waiting: Uint8Array[] = []
  /** Of everything that waits or is being sent. */
  #held = { entries: 0, bytes: 0 }
  #running: Promise<void> | undefined
  #closed = false
  /** Callbacks that are still at work. */
  readonly #calls = new Set<Promise<void>>()
  /** Errors of the application's own callbacks, which have no caller to propagate to. */
  readonly #thrown: unknown[] = []

  constructor(log: Pick<LogClient, 'appendBatch'>, options: SubmitterOptions) {
    this.#log = log
    this.#options = options
  }

  /**
   * Takes an entry of 0 to 65,535 bytes, which is copied. Never throws and never waits.
   *
   * @returns false if it was not taken, and is given to `onUndelivered`: `overloaded` when too much waits already,
   *   `too_large`, `shutting_down` after {@link close}
   */
  submit(entry: Uint8Array): boolean {
    const copy = entry.slice()
    const refusal = this.#refusalOf(copy)
    if (refusal) {
      void this.#call(() => this.#options.onUndelivered([copy], refusal))
      return false
    }
    this.#waiting.push(copy)
    this.#hold(1, copy.length)
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
    return true
  }

  /** Resolves once nothing waits: everything was acknowledged, or `onUndelivered` is done with it. */
  async idle(): Promise<void> {
    while (this.#running || this.#calls.size > 0) await Promise.all([this.#running, ...this.#calls])
  }

  /**
   * Takes no more entries, and resolves as {@link idle}.
   *
   * @throws AggregateError with what `onUndelivered` and `onDelivered` threw, which nothing else reports
   */
  async close(): Promise<void> {
    this.#closed = true
    await this.idle()
    if (this.#thrown.length > 0) throw new AggregateError(this.#thrown, 'submitter: a callback failed')
  }

  async #run(): Promise<void> {
    // What is submitted in one turn of the application goes out together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      await this.#deliver(batch)
      this.#hold(-batch.length, -bytesOf(batch))
    }
  }

  #takeBatch(): Uint8Array[] {
    let bytes = 0
    const over = this.#waiting.findIndex((entry, i) => {
      bytes += entry.length + 2
      return i === MAX_PROVEN_ENTRIES || (i > 0 && bytes > MAX_BATCH_BYTES)
    })
    return this.#waiting.splice(0, over < 0 ? this.#waiting.length : over)
  }

  async #deliver(batch: readonly Uint8Array[]): Promise<void> {
    try {
      const receipt = await this.#log.appendBatch(batch)
      await this.#call(() => this.#options.onDelivered?.(batch, receipt))
    } catch (error) {
      // One entry that the log refuses must not keep out the others of its batch.
      if (batch.length > 1 && hasCode(error, 'malformed', 'too_large') && !error.acknowledged) {
        const half = batch.length >> 1
        await this.#deliver(batch.slice(0, half))
        return this.#deliver(batch.slice(half))
      }
      await this.#call(() => this.#options.onUndelivered(batch, asSteleError(error)))
    }
  }

  #refusalOf({ length }: Uint8Array): SteleError | undefined {
    const { maxEntries = DEFAULT_MAX_ENTRIES, maxBytes = DEFAULT_MAX_BYTES } = this.#options
    const { entries, bytes } = this.#held
    if (this.#closed) return new SteleError('shutting_down', 'submitter: it was closed')
    if (length > MAX_ENTRY_BYTES) {
      return new SteleError('too_large', `entry: expected at most ${MAX_ENTRY_BYTES} bytes, got ${length}`)
    }
    if (entries < maxEntries && bytes + length <= maxBytes) return undefined
    return new SteleError(
      'overloaded',
      `submitter: ${entries} entries of ${bytes} bytes wait for the log already`,
    )
  }

  #hold(entries: number, bytes: number): void {
    this.#held = { entries: this.#held.entries + entries, bytes: this.#held.bytes + bytes }
  }

  #call(callback: () => void | Promise<void>): Promise<void> {
    const call = this.#settle(callback).finally(() => this.#calls.delete(call))
    this.#calls.add(call)
    return call
  }

  async #settle(callback: () => void | Promise<void>): Promise<void> {
    try {
      await callback()
    } catch (error) {
      this.#thrown.push(error)
    }
  }
}

function bytesOf(entries: readonly Uint8Array[]): number {
  return entries.reduce((sum, { length }) => sum + length, 0)
}

function asSteleError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `submitter: ${message}`, { cause: error })
}
