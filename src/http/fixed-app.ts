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
 * them are open to everybody but those that ask for a token themselves.
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

/** The route of a path that has this method, and for other methods the route that says which there are. */
function allowed(routes: readonly Route[], { method = '' }: IncomingMessage): Route {
  const route = routes.find((one) => methodsOf(one).includes(method))
  if (route) return route
  const [{ path }] = routes as [Route]
  return withoutMethod(method, path, routes.flatMap(methodsOf), routes.every(isReadable))
}

function methodsOf({ method }: Route): string[] {
  return method === 'get' ? ['GET', 'HEAD'] : ['POST']
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
