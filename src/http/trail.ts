import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { Incoming, Route } from './route.ts'

/** A request and what came of it. */
export interface Traced {
  readonly route: Route
  readonly call: Incoming
  /** Undefined when it was refused before anybody knew who sent it. */
  readonly caller: Caller | undefined
  readonly address: string
  readonly answer: Answer
  /** Why it was refused, if it was. */
  readonly error: SteleError | undefined
  /** True when it was refused at the gate: nothing was done for it. */
  readonly denied: boolean
  readonly tookMs: number
  readonly requestId: string
}

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
  record(traced: Traced): Promise<void>
}
