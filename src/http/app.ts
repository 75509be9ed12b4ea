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

/** Koa with nothing but a router, and an end for whatever the router has no route for. */
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
  // Answers are written by `serve`: what Koa hears of beside it is connections that broke, and bugs.
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
 * What the router found under this path decides whether the path or the method is wrong. Of the path itself nothing is
 * kept: what callers make up must not become a name in metrics and logs.
 */
function absentRoute({ path, method, matched = [] }: RouterContext, routes: readonly Route[]): Route {
  const paths = new Set(matched.map((layer) => layer.path))
  const found = routes.filter((route) => paths.has(koaPath(route)))
  if (found.length === 0) return notFound(path)
  const methods = new Set(matched.flatMap((layer) => layer.methods))
  return withoutMethod(method, found[0]!.path, [...methods], found.some(isReadable))
}
