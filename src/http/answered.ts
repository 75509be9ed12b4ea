import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import { requestLog } from './request-log.ts'
import type { Incoming, Route } from './route.ts'

/** One request and how it ended. */
export interface Answered {
  readonly route: Route
  readonly call: Incoming
  readonly answer: Answer
  /** Why it was refused, if a handler threw. */
  readonly error: SteleError | undefined
  readonly tookMs: number
  readonly requestId: string
}

/** Is told of every request, after it was answered. It does not throw. */
export type OnAnswered = (answered: Answered) => void

/** Tells whoever is to be told: metrics, and the log of the server. */
export function watcherOf({ metrics, logger, slowRequestMs = 0 }: HttpDeps): OnAnswered {
  const log = logger && requestLog(logger, slowRequestMs)
  return (answered) => {
    const { route, call, answer, error, tookMs } = answered
    metrics?.observe(route.path, call.req.method ?? '', answer.status, tookMs / 1000, error?.code)
    log?.(answered)
  }
}
