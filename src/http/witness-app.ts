import type { IncomingMessage } from 'node:http'
import { BodyReader } from './body.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { App } from './app.ts'
import { withoutMethod } from './fallbacks.ts'
import { DEFAULT_HTTP_LIMITS } from './limits.ts'
import { OPEN_GATE } from './gate.ts'
import type { Route } from './route.ts'
import { server } from './serve.ts'
import type { WitnessHttpDeps } from './witness-deps.ts'
import { NO_LOGS } from './witness-metrics.ts'
import { CHECKPOINT_PATH, witnessRoutes } from './witness-routes.ts'

/** SHA-256 of an origin, as c2sp.org/tlog-witness puts it into the URL. */
const CHECKPOINT = /^\/([0-9a-f]{64})\/checkpoint$/

/** The HTTP layer of a witness. Its few routes need no router: no path of theirs is ever decoded. */
export function createWitnessApp(deps: WitnessHttpDeps): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const bodies = new BodyReader(deps.limits)
  const routes = witnessRoutes(deps, bodies)
  const byPath = new Map(routes.map((route) => [route.path, route]))
  const checkpoint = byPath.get(CHECKPOINT_PATH)
  byPath.delete(CHECKPOINT_PATH)
  const serve = server({ ...deps, logs: NO_LOGS, limits: DEFAULT_HTTP_LIMITS, gate: OPEN_GATE })
  return {
    routes,
    breakOff: (req) => bodies.breakOff(req),
    handler(req, res, heldBack = false) {
      if (heldBack) bodies.holdBack(req)
      const [target = ''] = (req.url ?? '').split('?', 1)
      const hash = CHECKPOINT.exec(target)?.[1]
      const route = hash === undefined ? byPath.get(target) : checkpoint
      const path = hash === undefined ? {} : { hash }
      void serve(route ? allowed(route, req) : nowhere(target, routes[0]!), { req, res, search: '', path })
    },
  }
}

/** A route for the methods it has, and for others the route that says so. */
function allowed(route: Route, { method = '' }: IncomingMessage): Route {
  const methods = route.method === 'get' ? ['GET', 'HEAD'] : ['POST']
  return methods.includes(method) ? route : withoutMethod(method, route.path, methods)
}

/** Metrics know it by one name, whatever callers make up. */
function nowhere(target: string, like: Route): Route {
  return {
    ...like,
    path: 'none',
    async handle() {
      throw new SteleError('not_found', `no such route: ${excerpt(target)}`)
    },
  }
}
