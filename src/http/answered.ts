import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import { STATUS } from './errors.ts'
import type { RawCall, Route } from './route.ts'

/** One request and how it ended. */
export interface Answered {
  readonly route: Route
  readonly call: RawCall
  readonly answer: Answer
  /** Why it was refused, if a handler threw. */
  readonly error: SteleError | undefined
  readonly tookMs: number
  readonly requestId: string
}

/** Is told of every request, after it was answered. It does not throw. */
export type OnAnswered = (answered: Answered) => void

/** Counts, and reports what went wrong here; a caller's mistakes are the caller's to read. */
export function watcherOf({ metrics, logger }: Pick<HttpDeps, 'metrics' | 'logger'>): OnAnswered {
  return ({ route, call, answer, error, tookMs }) => {
    metrics?.observe(route.path, call.req.method ?? '', answer.status, tookMs / 1000, error?.code)
    if (!error || STATUS[error.code] < 500) return
    const report = STATUS[error.code] === 500 ? 'error' : 'warn'
    logger?.[report]({ route: route.path, code: error.code, err: error }, error.message)
  }
}
