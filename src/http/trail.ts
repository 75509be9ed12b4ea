import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { Incoming, Route } from './route.ts'

/** Records requests in the audit trail. */
export interface Trail {
  /**
   * Called before any work for an authenticated caller: a request that could not be recorded afterwards is not begun.
   *
   * @throws SteleError `untraceable`
   */
  check(): void
  /**
   * Resolves once the record is on disk.
   *
   * @throws SteleError `untraceable`; the answer must not be sent then
   */
  record(exchange: Exchange): Promise<void>
}

/** A request and its result, for audit trail, metrics and the server's log. */
export interface Exchange {
  readonly route: Route
  readonly call: Incoming
  /** The ID in the answer. */
  readonly requestId: string
  /** The client address: trusted proxies are skipped. */
  readonly address: string
  /** Undefined when it was refused before authentication. */
  readonly caller: Caller | undefined
  readonly answer: Answer
  /** Why it was refused, if it was. */
  readonly error: SteleError | undefined
  /** True when the gate refused it: no work was done for it. */
  readonly denied: boolean
  /** Time from the request's head until now. */
  readonly tookMs: number
}
