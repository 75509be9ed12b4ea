import { SteleError } from '../errors.ts'
import type { Finding } from './finding.ts'
import type { LogMonitor } from './log-monitor.ts'
import { NewsWait } from './news.ts'

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
