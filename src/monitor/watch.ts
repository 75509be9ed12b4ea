import { logPrefix } from '../client/http-files.ts'
import { SteleError } from '../errors.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import type { Finding } from './finding.ts'
import type { LogMonitor } from './log-monitor.ts'

/** How to watch. */
export interface WatchOptions {
  /** Shortest time from round to round without news, in milliseconds. */
  readonly intervalMs: number
  /** Ends the watch; it then resolves. */
  readonly signal: AbortSignal
  /** Told after every round. */
  readonly onRound?: ((monitor: LogMonitor, findings: readonly Finding[]) => void) | undefined
  /** Told when a round could not be finished for a reason of ours, most likely a full disk. */
  readonly onTrouble: (monitor: LogMonitor, error: SteleError) => void
}

/**
 * Watches one log until it is told to stop. Several can be watched side by side: none waits for another.
 *
 * @throws what is nobody's fault but this program's
 */
export async function watch(monitor: LogMonitor, options: WatchOptions): Promise<void> {
  const { intervalMs, signal, onRound, onTrouble } = options
  const news = new NewsWait(monitor, intervalMs, signal)
  while (!signal.aborted) {
    try {
      const findings = await monitor.round()
      onRound?.(monitor, findings)
    } catch (error) {
      if (signal.aborted) break
      if (!(error instanceof SteleError) || error.code === 'internal') throw error
      onTrouble(monitor, error)
    }
    await news.wait()
  }
}

/** Leaves the log this much of a request's time limit to answer a long poll in. */
const POLL_MARGIN_MS = 5_000

/**
 * Waits until another look at a log makes sense: by long poll where the log offers it, else for a while. What a long
 * poll brings is only a hint; the next round asks, and judges, for itself.
 */
class NewsWait {
  readonly #monitor: LogMonitor
  readonly #intervalMs: number
  readonly #signal: AbortSignal
  #longPoll = true
  /** Tree size when a long poll last spoke of news. */
  #promisedAt: number | undefined

  constructor(monitor: LogMonitor, intervalMs: number, signal: AbortSignal) {
    this.#monitor = monitor
    this.#intervalMs = intervalMs
    this.#signal = signal
  }

  /** Resolves early once the signal is aborted. */
  async wait(): Promise<void> {
    const { clock, status } = this.#monitor
    const untilMs = clock.nowMs() + this.#intervalMs
    // A log that spoke of news and had none could keep us busy with that.
    const trusted = this.#promisedAt === undefined || this.#promisedAt !== status.treeSize
    this.#promisedAt = undefined
    if (this.#longPoll && trusted && status.open.length === 0 && (await this.#poll(status.treeSize ?? 0))) {
      this.#promisedAt = status.treeSize
      return
    }
    await clock.sleep(Math.max(0, untilMs - clock.nowMs()), this.#signal).catch(() => undefined)
  }

  /** @returns true if the log says that there is something new */
  async #poll(after: number): Promise<boolean> {
    const { transport, log } = this.#monitor
    const seconds = Math.max(1, Math.min(60, Math.floor((transport.timeoutMs - POLL_MARGIN_MS) / 1000)))
    const url = `${logPrefix(log.url)}v1/checkpoint?after=${after}&timeout=${seconds}`
    try {
      const { status, headers } = await transport.ask(url, {
        maxBytes: MAX_NOTE_BYTES,
        expect: [200, 204],
        signal: this.#signal,
        fresh: true,
      })
      // A static host may answer any path with a page of its own.
      const isText = /^text\/plain\b/i.test(headers.get('content-type') ?? '')
      if (status === 200 && !isText) this.#longPoll = false
      return status === 200 && isText
    } catch (error) {
      if (this.#signal.aborted) return false
      if (!(error instanceof SteleError)) throw error
      // A log that is only files says in many ways that it has no such route; one that is away for now may come back.
      this.#longPoll = error.code === 'unreachable'
      return false
    }
  }
}
