import type { HttpDeps } from './deps.ts'
import type { Answer } from './answer.ts'
import { send } from './answer.ts'
import { asSteleError, problemAnswer, STATUS } from './errors.ts'
import { SILENT } from './logger.ts'
import type { RawCall, Route } from './route.ts'
import type { SteleError } from '../errors.ts'

/** Puts a route to work for one request. Never rejects: whatever fails becomes an answer here, and nowhere else. */
export type Serve = (route: Route, call: RawCall) => Promise<void>

/** Answers requests, and sees to it that each is counted and each failure of ours is reported. */
export function server({ metrics, logger = SILENT, stopping }: HttpDeps): Serve {
  const refuse = (route: Route, error: SteleError): Answer => {
    // A caller's mistakes are the caller's to read; what went wrong here is the operator's.
    if (STATUS[error.code] >= 500) {
      const report = STATUS[error.code] === 500 ? 'error' : 'warn'
      logger[report]({ route: route.path, code: error.code, err: error }, error.message)
    }
    return problemAnswer(error, route.ct)
  }

  return async (route, call) => {
    const startedMs = metrics ? performance.now() : 0
    let answer: Answer
    try {
      answer = await route.handle(call)
    } catch (error) {
      answer = refuse(route, asSteleError(error))
    }
    if (stopping?.aborted) answer = { ...answer, headers: { ...answer.headers, connection: 'close' } }
    send(call.req, call.res, answer)
    metrics?.observe(route.path, call.req.method ?? '', answer.status, (performance.now() - startedMs) / 1000)
  }
}
