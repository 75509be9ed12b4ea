import type { IncomingMessage } from 'node:http'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { App } from './app.ts'
import type { BodyReader } from './body.ts'
import type { HttpDeps } from './deps.ts'
import { NO_LOGS } from '../instance/directory.ts'
import { withoutMethod } from './fallbacks.ts'
import { OPEN_GATE } from './gate.ts'
import { DEFAULT_HTTP_LIMITS } from './limits.ts'
import { isReadable, type Route } from './route.ts'
import { server } from './serve.ts'

/** A route, and the values of the parameters in its path. */
export interface Found {
  readonly route: Route
  readonly path: Readonly<Record<string, string>>
}

/** The parts of a server with a few fixed routes. */
export interface FixedApp extends Omit<HttpDeps, 'logs' | 'limits' | 'gate'> {
  /** All routes, those that `find` finds included. */
  readonly routes: readonly Route[]
  readonly bodies: BodyReader
  /** The route of a path that equals no route's own path; undefined if there is none. */
  find(target: string): Found | undefined
}

/**
 * The HTTP layer of a server with a few fixed routes. It needs no router, because no path is decoded, and no gate: all
 * routes are open to everyone except those that check a token themselves.
 */
export function fixedApp(app: FixedApp): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const { routes, bodies } = app
  const byPath = new Map<string, Route[]>()
  for (const route of routes.filter(({ path }) => !path.includes('{'))) {
    byPath.set(route.path, [...(byPath.get(route.path) ?? []), route])
  }
  const serve = server({ ...app, logs: NO_LOGS, limits: DEFAULT_HTTP_LIMITS, gate: OPEN_GATE })
  return {
    routes,
    breakOff: (req) => bodies.breakOff(req),
    handler(req, res, heldBack = false) {
      if (heldBack) bodies.holdBack(req)
      const [target = ''] = (req.url ?? '').split('?', 1)
      const own = byPath.get(target)
      const found = own ? undefined : app.find(target)
      const there = own ?? (found ? [found.route] : undefined)
      const route = there ? allowed(there, req) : nowhere(target, routes[0]!)
      void serve(route, { req, res, search: '', path: found?.path ?? {} })
    },
  }
}

/** The route of a path for this method; for other methods the route that answers 405. */
function allowed(routes: readonly Route[], { method = '' }: IncomingMessage): Route {
  const route = routes.find((one) => methodsOf(one).includes(method))
  if (route) return route
  const [{ path }] = routes as [Route]
  return withoutMethod(method, path, routes.flatMap(methodsOf), routes.every(isReadable))
}

function methodsOf({ method }: Route): string[] {
  return method === 'get' ? ['GET', 'HEAD'] : ['POST']
}

/** The 404 route. It has one fixed metric label, so request paths cannot inflate cardinality. */
function nowhere(target: string, like: Route): Route {
  return {
    ...like,
    path: 'none',
    async handle() {
      throw new SteleError('not_found', `no such route: ${excerpt(target)}`)
    },
  }
}
