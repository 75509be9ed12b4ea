import type { SteleError } from '../errors.ts'
import { send, type Answer } from './answer.ts'
import { watcherOf } from './answered.ts'
import type { HttpDeps } from './deps.ts'
import { asSteleError, problemAnswer } from './errors.ts'
import { requestIds } from './request-id.ts'
import type { RawCall, Route } from './route.ts'

/** Puts a route to work for one request. Never rejects: whatever fails becomes an answer here, and nowhere else. */
export type Serve = (route: Route, call: RawCall) => Promise<void>

/** Answers requests, and tells an observer of each: it counts, and reports failures. */
export function server(deps: HttpDeps): Serve {
  const onAnswered = watcherOf(deps)
  const idOf = requestIds()
  return async (route, call) => {
    const startedMs = performance.now()
    const requestId = idOf(call.req)
    let answer: Answer
    let error: SteleError | undefined
    try {
      answer = await route.handle(call)
    } catch (thrown) {
      error = asSteleError(thrown)
      answer = problemAnswer(error, route.ct)
    }
    if (deps.stopping?.aborted) answer = { ...answer, headers: { ...answer.headers, connection: 'close' } }
    send(call.req, call.res, answer, requestId)
    onAnswered({ route, call, answer, error, tookMs: performance.now() - startedMs, requestId })
  }
}
