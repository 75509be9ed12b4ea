import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { send } from './answer.ts'
import { watcherOf } from './answered.ts'
import type { HttpDeps } from './deps.ts'
import { asSteleError, problemAnswer } from './errors.ts'
import { requestIds } from './request-id.ts'
import type { Incoming, Route } from './route.ts'

/** Puts a route to work for one request. Never rejects: whatever fails becomes an answer here, and nowhere else. */
export type Serve = (route: Route, call: Incoming) => Promise<void>

interface Request {
  readonly route: Route
  readonly call: Incoming
  readonly requestId: string
}

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
export function server(deps: HttpDeps): Serve {
  const { gate, trail } = deps
  const onAnswered = watcherOf(deps)
  const idOf = requestIds()

  const carryOut = async (route: Route, call: Incoming): Promise<Outcome> => {
    let caller: Caller
    try {
      caller = await gate.admit(route, call)
    } catch (error) {
      return { ...refused(route, error), denied: true }
    }
    try {
      // What could not be written down afterwards is not begun.
      if (caller.kind !== 'anonymous') trail?.check()
      return { caller, answer: await route.handle({ ...call, caller }) }
    } catch (error) {
      return { caller, ...refused(route, error) }
    }
  }

  const trace = async (request: Request, outcome: Outcome, tookMs: number): Promise<Outcome> => {
    const { answer, caller, error, denied = false } = outcome
    if (!trail || (!denied && (caller === undefined || caller.kind === 'anonymous'))) return outcome
    try {
      const address = gate.addressOf(request.call.req)
      await trail.record({ ...request, caller, address, answer, error, denied, tookMs })
      return outcome
    } catch (thrown) {
      return { ...outcome, ...refused(request.route, thrown) }
    }
  }

  return async (route, call) => {
    const startedMs = performance.now()
    const request = { route, call, requestId: idOf(call.req) }
    const done = await carryOut(route, call)
    const { answer: told, caller, error } = await trace(request, done, performance.now() - startedMs)
    let answer = forOne(caller, told)
    if (deps.stopping?.aborted) answer = { ...answer, headers: { ...answer.headers, connection: 'close' } }
    send(call.req, call.res, answer, request.requestId)
    onAnswered({ ...request, answer, error, tookMs: performance.now() - startedMs })
  }
}

function refused({ ct }: Route, thrown: unknown): { answer: Answer; error: SteleError } {
  const error = asSteleError(thrown)
  return { answer: problemAnswer(error, ct), error }
}

/** What somebody's credentials have opened is for them: no cache on the way may hand it to others. */
function forOne(caller: Caller | undefined, answer: Answer): Answer {
  const cached = answer.headers['cache-control']
  if (!caller || caller.kind === 'anonymous' || cached === undefined) return answer
  const vary = [answer.headers['vary'], 'authorization'].filter((name) => name !== undefined).join(', ')
  const headers = { ...answer.headers, 'cache-control': cached.replace('public', 'private'), vary }
  return { ...answer, headers }
}
