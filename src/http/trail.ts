import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { Incoming, Route } from './route.ts'

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

/** One request and what came of it: what trail, metrics and the log of the server are told. */
export interface Exchange {
  readonly route: Route
  readonly call: Incoming
  /** As in the answer. */
  readonly requestId: string
  /** Where it comes from, proxies that are trusted left out. */
  readonly address: string
  /** Undefined when it was refused before anybody knew who sent it. */
  readonly caller: Caller | undefined
  readonly answer: Answer
  /** Why it was refused, if it was. */
  readonly error: SteleError | undefined
  /** True when it was refused at the gate: nothing was done for it. */
  readonly denied: boolean
  /** From its head until now. */
  readonly tookMs: number
}
