import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { send } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import { asSteleError, problemAnswer, STATUS } from './errors.ts'
import { Denied } from './gate.ts'
import { SILENT } from './logger.ts'
import type { Incoming, Route } from './route.ts'

/** Puts a route to work for one request. Never rejects: whatever fails becomes an answer here, and nowhere else. */
export type Serve = (route: Route, call: Incoming) => Promise<void>

/** What came of a request, before it is told to anybody. */
interface Outcome {
  readonly answer: Answer
  readonly error?: SteleError
  readonly caller?: Caller
  readonly denied?: true
}

/**
 * Answers requests. Every one of them comes by here: first the gate, which may refuse it; then its route; then, for
 * those who are known or were denied, the trail, which must be on disk; and only then the answer leaves.
 */
export function server({ gate, trail, metrics, logger = SILENT, stopping }: HttpDeps): Serve {
  const refused = (route: Route, thrown: unknown): { answer: Answer; error: SteleError } => {
    const error = asSteleError(thrown)
    // A caller's mistakes are the caller's to read; what went wrong here is the operator's.
    if (STATUS[error.code] >= 500) {
      const report = STATUS[error.code] === 500 ? 'error' : 'warn'
      logger[report]({ route: route.path, code: error.code, err: error }, error.message)
    }
    return { answer: problemAnswer(error, route.ct), error }
  }

  const carryOut = async (route: Route, call: Incoming): Promise<Outcome> => {
    let caller: Caller
    try {
      caller = await gate.admit(route, call)
    } catch (error) {
      const known = error instanceof Denied ? { caller: error.caller } : {}
      return { ...known, ...refused(route, error), denied: true }
    }
    try {
      // What could not be written down afterwards is not begun.
      if (caller.kind !== 'anonymous') trail?.check()
      return { caller, answer: await route.handle({ ...call, caller }) }
    } catch (error) {
      return { caller, ...refused(route, error) }
    }
  }

  const trace = async (route: Route, call: Incoming, outcome: Outcome, tookMs: number): Promise<Answer> => {
    const { answer, caller, denied = false } = outcome
    if (!trail || (!denied && (caller === undefined || caller.kind === 'anonymous'))) return answer
    try {
      const address = gate.addressOf(call.req)
      await trail.record({ route, call, caller, address, answer, error: outcome.error, denied, tookMs })
      return answer
    } catch (error) {
      return refused(route, error).answer
    }
  }

  return async (route, call) => {
    const startedMs = performance.now()
    const outcome = await carryOut(route, call)
    let answer = forOne(outcome.caller, await trace(route, call, outcome, performance.now() - startedMs))
    if (stopping?.aborted) answer = { ...answer, headers: { ...answer.headers, connection: 'close' } }
    send(call.req, call.res, answer)
    metrics?.observe(route.path, call.req.method ?? '', answer.status, (performance.now() - startedMs) / 1000)
  }
}

/** What somebody's credentials have opened is for them: no cache on the way may hand it to others. */
function forOne(caller: Caller | undefined, answer: Answer): Answer {
  const cached = answer.headers['cache-control']
  if (!caller || caller.kind === 'anonymous' || cached === undefined) return answer
  const vary = [answer.headers['vary'], 'authorization'].filter((name) => name !== undefined).join(', ')
  const headers = { ...answer.headers, 'cache-control': cached.replace('public', 'private'), vary }
  return { ...answer, headers }
}
