import type { IncomingMessage, ServerResponse } from 'node:http'
import type Router from '@koa/router'
import { apiKeyRoutes } from './routes/api-key.ts'
import { appendRoutes } from './routes/append.ts'
import { BodyReader } from './body.ts'
import { Connections } from './connections.ts'
import { ctRoutes } from './routes/ct.ts'
import type { HttpDeps } from './deps.ts'
import { entryRoutes } from './routes/entry.ts'
import { withoutMethod } from './fallbacks.ts'
import { instanceRoutes } from './routes/instance.ts'
import { koaOf } from './koa.ts'
import { logAdminRoutes } from './routes/log-admin.ts'
import { logKeyAdminRoutes } from './routes/log-key-admin.ts'
import { keyRoutes } from './routes/key.ts'
import { SILENT } from './logger.ts'
import { openApiDocument, type OpenApiDocument } from './openapi.ts'
import { proofRoutes } from './routes/proof.ts'
import { isReadable, type Route } from './route.ts'
import { scrubRoutes } from './routes/scrub.ts'
import { server } from './serve.ts'
import { staticRoutes } from './routes/static.ts'

/** Answers requests of a node:http server, for its events `request` and, with true, `checkContinue`. */
export type Handler = (req: IncomingMessage, res: ServerResponse, heldBack?: boolean) => void

/** The HTTP layer, and what it is made of. */
export interface App {
  readonly handler: Handler
  /** To be told of a request behind whose body came what is not HTTP: its entry is not stored. */
  readonly breakOff: (req: IncomingMessage) => void
  /** All routes, those of the router and those ahead of it. */
  readonly routes: readonly Route[]
  /** The router that Koa runs, for whoever wants to know what is really there. */
  readonly router: Router
  readonly document: OpenApiDocument
}

/** Makes a listener for node:http out of logs and limits. */
export function createHandler(deps: HttpDeps): Handler {
  return createApp(deps).handler
}

/** As `createHandler`, with its parts to look at. */
export function createApp(given: HttpDeps): App {
  const deps = { ...given, connections: given.connections ?? new Connections(given.limits) }
  const bodies = new BodyReader(deps.limits)
  const fixed = staticRoutes(deps)
  let document: OpenApiDocument | undefined
  const describe = (): OpenApiDocument => (document ??= openApiDocument(routes, deps.gate))
  const routed = [
    ...appendRoutes(deps, bodies),
    ...entryRoutes(deps),
    ...proofRoutes(deps),
    ...keyRoutes(deps),
    ...ctRoutes(deps),
    ...apiKeyRoutes(deps, bodies),
    ...logAdminRoutes(deps, bodies),
    ...logKeyAdminRoutes(deps, bodies),
    ...scrubRoutes(deps),
    ...instanceRoutes(deps, describe),
  ]
  const routes = [...routed, ...fixed.routes]
  const serve = server(deps)
  const { router, callback } = koaOf(routed, serve, deps.logger ?? SILENT)

  // Ahead of Koa: what is static, and the two routes that take one entry at a time.
  const direct = new Map(routed.filter(takesOneEntry).map((route) => [restOf(route), route]))
  const handler: Handler = (req, res, heldBack = false) => {
    if (heldBack) bodies.holdBack(req)
    const target = logTarget(req.url ?? '')
    if (target) {
      const route = fixed.match(target.rest)
      if (route) return void serve(readOnly(route, req), { req, res, search: '', path: target })
      const at = queryAt(target.rest)
      const hot = req.method === 'POST' ? direct.get(target.rest.slice(0, at)) : undefined
      if (hot) return void serve(hot, { req, res, search: target.rest.slice(at + 1), path: target })
    }
    void callback(req, res)
  }
  return {
    handler,
    breakOff: (req) => bodies.breakOff(req),
    routes,
    router,
    get document() {
      return describe()
    },
  }
}

/** Name and rest of a raw URL below `/logs/`: neither decoded nor normalised, for no name needs either. */
function logTarget(url: string): { log: string; rest: string } | undefined {
  if (!url.startsWith(LOGS)) return undefined
  const slash = url.indexOf('/', LOGS.length)
  return slash < 0 ? undefined : { log: url.slice(LOGS.length, slash), rest: url.slice(slash + 1) }
}

const LOGS = '/logs/'
const LOG_PREFIX = '/logs/{log}/'

function restOf(route: Route): string {
  return route.path.slice(LOG_PREFIX.length)
}

function takesOneEntry(route: Route): boolean {
  return route.method === 'post' && ['add', 'v1/entries'].includes(restOf(route))
}

function queryAt(url: string): number {
  const at = url.indexOf('?')
  return at < 0 ? url.length : at
}

/** A static route for the methods it has, and for others the route that says so. */
function readOnly(route: Route, { method }: IncomingMessage): Route {
  if (method === 'GET' || method === 'HEAD') return route
  return withoutMethod(method ?? '', route.path, ['GET', 'HEAD'], isReadable(route))
}
