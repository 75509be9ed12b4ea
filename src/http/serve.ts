import type { Caller } from '../access/caller.ts'
import type { SteleError } from '../errors.ts'
import { type Answer, isLarge, send } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import { Connections } from './connections.ts'
import { asSteleError, problemAnswer } from './errors.ts'
import type { Exchange } from './trail.ts'
import { Denied } from './gate.ts'
import { networkOf } from './rates.ts'
import { requestIds, requestLog } from './request-log.ts'
import { isReadable, type Incoming, type Route } from './route.ts'

/** Runs a route for one request. Never rejects: every error becomes an answer here, and nowhere else. */
export type Serve = (route: Route, call: Incoming) => Promise<void>

/** The result of a request. */
type Outcome = Pick<Exchange, 'caller' | 'answer' | 'error' | 'denied'>

/**
 * Answers requests. Each passes the gate, which may refuse it, then its route. If the caller is authenticated or
 * denied, the audit trail records the request on disk. Only then is the answer sent.
 *
 * Objects are written out field by field: an object literal that begins with a spread and has further fields costs
 * about a microsecond for each of these, at every request.
 */
export function server(deps: HttpDeps): Serve {
  const { gate, trail, metrics, logger, slowRequestMs = 0 } = deps
  const { answers } = deps.connections ?? new Connections(deps.limits)
  const tell = logger && requestLog(logger, slowRequestMs)
  const idOf = requestIds()

  const tellBroken = (error: unknown): void => {
    const { message, code } = asSteleError(error)
    logger?.error({ err: error, code }, `an answer broke off: ${message}`)
  }

  const refused = ({ ct }: Route, thrown: unknown, caller: Caller | undefined, denied = false): Outcome => {
    const error: SteleError = asSteleError(thrown)
    return { caller, answer: problemAnswer(error, ct, !gate.tells(caller)), error, denied }
  }

  const carryOut = async (route: Route, call: Incoming, address: string): Promise<Outcome> => {
    let caller: Caller
    try {
      const admitted = gate.admit(route, call, address)
      caller = admitted instanceof Promise ? await admitted : admitted
    } catch (error) {
      return refused(route, error, error instanceof Denied ? error.caller : undefined, true)
    }
    try {
      // A request that could not be recorded afterwards is not begun.
      if (caller.kind !== 'anonymous') trail?.check()
      const { req, res, search, path } = call
      const raw = { req, res, search, path, caller }
      if (!route.large) {
        let answer = await route.handle(raw)
        // The result of a write is always reported.
        if (route.method === 'get' && isLarge(answer)) answer = answers.hold(networkOf(address), res, answer)
        return { caller, answer, error: undefined, denied: false }
      }
      const network = networkOf(address)
      const answer = answers.hold(network, res, await answers.make(network, res, () => route.handle(raw)))
      return { caller, answer, error: undefined, denied: false }
    } catch (error) {
      return refused(route, error, caller)
    }
  }

  return async (route, call) => {
    const startedMs = performance.now()
    const { req, res } = call
    const requestId = idOf(req)
    const address = gate.addressOf(req)
    const exchangeOf = ({ caller, answer, error, denied }: Outcome): Exchange => {
      const tookMs = performance.now() - startedMs
      return { route, call, requestId, address, caller, answer, error, denied, tookMs }
    }
    let outcome = await carryOut(route, call, address)
    try {
      if (trail && leavesTrace(outcome)) await trail.record(exchangeOf(outcome))
    } catch (thrown) {
      outcome = refused(route, thrown, outcome.caller, outcome.denied)
    }
    const { caller, error, denied } = outcome
    const answer = toLeave(deps, forPages(route, forOne(caller, outcome.answer)))
    send(req, res, answer, requestId, tellBroken)
    const exchange = exchangeOf({ caller, answer, error, denied })
    metrics?.observe(route.path, req.method ?? '', answer.status, exchange.tookMs / 1000, error?.code)
    tell?.(exchange)
  }
}

/** True for authenticated callers and for denied requests. */
function leavesTrace({ denied, caller }: Outcome): boolean {
  return denied || (caller !== undefined && caller.kind !== 'anonymous')
}

/**
 * Removes the CORS header from routes that readers do not use. Pages of other origins may read public data only, not
 * how a server is run or which keys it has.
 */
function forPages(route: Route, answer: Answer): Answer {
  if (answer.headers['access-control-allow-origin'] === undefined || isReadable(route)) return answer
  const headers = Object.entries(answer.headers).filter(([name]) => !name.startsWith('access-control-'))
  return { ...answer, headers: Object.fromEntries(headers) }
}

/** Marks the answer to an authenticated caller as private, so that shared caches do not store it. */
function forOne(caller: Caller | undefined, answer: Answer): Answer {
  const cached = answer.headers['cache-control']
  if (!caller || caller.kind === 'anonymous' || cached === undefined || cached === 'no-store') return answer
  const vary = [answer.headers['vary'], 'authorization'].filter((name) => name !== undefined).join(', ')
  const headers = { ...answer.headers, 'cache-control': cached.replace('public', 'private'), vary }
  return { ...answer, headers }
}

/** Closes the connection after the answer when the server is stopping. */
function toLeave({ stopping }: HttpDeps, answer: Answer): Answer {
  return stopping?.aborted ? { ...answer, headers: { ...answer.headers, connection: 'close' } } : answer
}
