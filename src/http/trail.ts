import type { Exchange } from './exchange.ts'

/** Writes down who did what. */
export interface Trail {
  /**
   * Asked before anything is done for somebody known: what could not be written down afterwards is not begun.
   *
   * @throws SteleError `untraceable`
   */
  check(): void
  /**
   * Resolves once the trace is on disk.
   *
   * @throws SteleError `untraceable`: then the answer must not leave
   */
  record(exchange: Exchange): Promise<void>
}
