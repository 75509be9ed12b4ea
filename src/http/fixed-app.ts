import type { IncomingMessage } from 'node:http'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { App } from './app.ts'
import type { BodyReader } from './body.ts'
import type { HttpDeps } from './deps.ts'
import { NO_LOGS } from './directory.ts'
import { withoutMethod } from './fallbacks.ts'
import { OPEN_GATE } from './gate.ts'
import { DEFAULT_HTTP_LIMITS } from './limits.ts'
import { isReadable, type Route } from './route.ts'
import { server } from './serve.ts'

/** A route, and what stood in the braces of its path. */
export interface Found {
  readonly route: Route
  readonly path: Readonly<Record<string, string>>
}

/** What a server of a few routes is made of. */
export interface FixedApp extends Omit<HttpDeps, 'logs' | 'limits' | 'gate'> {
  /** All of them, those that `find` finds too. */
  readonly routes: readonly Route[]
  readonly bodies: BodyReader
  /** The route of a path that is no route's own, if it is one at all. */
  find(target: string): Found | undefined
}

/**
 * The HTTP layer of a server whose few routes need no router, for no path of theirs is ever decoded, and no gate: all of
 * them are open to everybody.
 */
export function fixedApp(app: FixedApp): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const { routes, bodies } = app
  const byPath = new Map(routes.filter(({ path }) => !path.includes('{')).map((route) => [route.path, route]))
  const serve = server({ ...app, logs: NO_LOGS, limits: DEFAULT_HTTP_LIMITS, gate: OPEN_GATE })
  return {
    routes,
    breakOff: (req) => bodies.breakOff(req),
    handler(req, res, heldBack = false) {
      if (heldBack) bodies.holdBack(req)
      const [target = ''] = (req.url ?? '').split('?', 1)
      const own = byPath.get(target)
      const { route, path } = (own ? { route: own, path: {} } : app.find(target)) ?? {
        route: undefined,
        path: {},
      }
      void serve(route ? allowed(route, req) : nowhere(target, routes[0]!), { req, res, search: '', path })
    },
  }
}

/** A route for the methods it has, and for others the route that says so. */
function allowed(route: Route, { method = '' }: IncomingMessage): Route {
  const methods = route.method === 'get' ? ['GET', 'HEAD'] : ['POST']
  return methods.includes(method) ? route : withoutMethod(method, route.path, methods, isReadable(route))
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
