import { logPrefix } from '../client/http-files.ts'
import { SteleError } from '../errors.ts'
import { MAX_NOTE_BYTES } from '../note/note.ts'
import type { Finding } from './finding.ts'
import type { LogMonitor } from './log-monitor.ts'

/** How to watch. */
export interface WatchOptions {
  /** Shortest time between rounds if the log reports nothing new, in milliseconds. */
  readonly intervalMs: number
  /** Ends the watch, which then resolves. */
  readonly signal: AbortSignal
  /** Called after every round. */
  readonly onRound?: ((monitor: LogMonitor, findings: readonly Finding[]) => void) | undefined
  /** Called when a round failed for a reason of the monitor itself, usually a full disk. */
  readonly onTrouble: (monitor: LogMonitor, error: SteleError) => void
}

/**
 * Watches one log until it is stopped. Several logs can be watched at the same time; none waits for another.
 *
 * @throws errors that are bugs in this program
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

/** The part of a request's time limit that is left for a long poll's response. */
const POLL_MARGIN_MS = 5_000

/**
 * Waits until the next round: by long poll if the log offers it, else for a fixed time. The response to a long poll is
 * only a hint; the next round reads and verifies the head itself.
 */
class NewsWait {
  readonly #monitor: LogMonitor
  readonly #intervalMs: number
  readonly #signal: AbortSignal
  #longPoll = true
  /** Tree size when a long poll last reported a new head. */
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
    // A log that reports a new head without having one could otherwise keep the monitor busy.
    const trusted = this.#promisedAt === undefined || this.#promisedAt !== status.treeSize
    this.#promisedAt = undefined
    if (this.#longPoll && trusted && status.open.length === 0 && (await this.#poll(status.treeSize ?? 0))) {
      this.#promisedAt = status.treeSize
      return
    }
    await clock.sleep(Math.max(0, untilMs - clock.nowMs()), this.#signal).catch(() => undefined)
  }

  /** @returns true if the log reports a new head */
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
      // A static host may serve a page of its own for any path.
      const isText = /^text\/plain\b/i.test(headers.get('content-type') ?? '')
      if (status === 200 && !isText) this.#longPoll = false
      return status === 200 && isText
    } catch (error) {
      if (this.#signal.aborted) return false
      if (!(error instanceof SteleError)) throw error
      // A static log refuses this route in many ways. A log that is unreachable may come back.
      this.#longPoll = error.code === 'unreachable'
      return false
    }
  }
}
