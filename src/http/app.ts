import type { IncomingMessage, ServerResponse } from 'node:http'
import Router from '@koa/router'
import type { RouterContext } from '@koa/router'
import Koa from 'koa'
import { BodyReader } from './body.ts'
import { Connections } from './connections.ts'
import type { HttpDeps } from './deps.ts'
import { notFound, withoutMethod } from './fallbacks.ts'
import { type Logger, SILENT } from './logger.ts'
import { openApiDocument, type OpenApiDocument } from './openapi.ts'
import { isReadable, type Route } from './route.ts'
import { apiKeyRoutes } from './routes/api-key.ts'
import { appendRoutes } from './routes/append.ts'
import { ctRoutes } from './routes/ct.ts'
import { entryRoutes } from './routes/entry.ts'
import { instanceRoutes } from './routes/instance.ts'
import { keyRoutes } from './routes/key.ts'
import { logAdminRoutes, logKeyAdminRoutes, scrubRoutes } from './routes/log-admin.ts'
import { proofRoutes } from './routes/proof.ts'
import { staticRoutes } from './routes/static.ts'
import { type Serve, server } from './serve.ts'

/** Answers requests of a node:http server, for its events `request` and, with `heldBack` true, `checkContinue`. */
export type Handler = (req: IncomingMessage, res: ServerResponse, heldBack?: boolean) => void

/** The HTTP layer and its parts. */
export interface App {
  readonly handler: Handler
  /** Reports a request whose body was followed by bytes that are not HTTP. Its entry is not stored. */
  readonly breakOff: (req: IncomingMessage) => void
  /** All routes: those of the router and those matched ahead of it. */
  readonly routes: readonly Route[]
  /** The router that Koa runs, for tests that compare it with `routes`. */
  readonly router: Router
  readonly document: OpenApiDocument
}

/** Makes a request listener for node:http. */
export function createHandler(deps: HttpDeps): Handler {
  return createApp(deps).handler
}

/** As `createHandler`, and returns the parts too. */
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

  // Matched ahead of Koa: the static routes, and the two routes that append one entry.
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

/** Log name and remaining path of a raw URL below `/logs/`. Neither is decoded or normalised: no name needs it. */
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

/** A static route for GET and HEAD; for other methods the route that answers 405. */
function readOnly(route: Route, { method }: IncomingMessage): Route {
  if (method === 'GET' || method === 'HEAD') return route
  return withoutMethod(method ?? '', route.path, ['GET', 'HEAD'], isReadable(route))
}

/** Koa with only a router, and a fallback for requests without a route. */
function koaOf(
  routes: readonly Route[],
  serve: Serve,
  logger: Logger,
): { router: Router; callback: (req: IncomingMessage, res: ServerResponse) => Promise<void> } {
  const router = new Router({ strict: true, sensitive: true })
  for (const route of routes) {
    router.register(koaPath(route), [route.method.toUpperCase()], async (ctx) => {
      await answer(ctx, route, ctx.params)
    })
  }
  const app = new Koa()
  app.use(router.routes())
  app.use(async (ctx) => answer(ctx, absentRoute(ctx as RouterContext, routes), {}))
  // `serve` writes all answers. Koa reports only broken connections and bugs here.
  app.on('error', (error: NodeJS.ErrnoException) => {
    if (error.syscall === undefined) logger.error({ err: error }, `koa: ${error.message}`)
  })
  return { router, callback: app.callback() }

  async function answer(ctx: Koa.Context, route: Route, path: Record<string, string>): Promise<void> {
    ctx.respond = false
    await serve(route, { req: ctx.req, res: ctx.res, search: ctx.querystring, path })
  }
}

/** The path of a route as the router writes it: `:log` for `{log}`. */
function koaPath({ path }: Route): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1')
}

/**
 * The 404 or 405 route: 405 when the router found the path under another method. The path itself is not kept, so that
 * request paths cannot become names in metrics and logs.
 */
function absentRoute({ path, method, matched = [] }: RouterContext, routes: readonly Route[]): Route {
  const paths = new Set(matched.map((layer) => layer.path))
  const found = routes.filter((route) => paths.has(koaPath(route)))
  if (found.length === 0) return notFound(path)
  const methods = new Set(matched.flatMap((layer) => layer.methods))
  return withoutMethod(method, found[0]!.path, [...methods], found.some(isReadable))
}
