import type { IncomingMessage, ServerResponse } from 'node:http'
import Router, { type RouterContext } from '@koa/router'
import Koa from 'koa'
import { notFound, withoutMethod } from './fallbacks.ts'
import type { Logger } from './logger.ts'
import { isReadable, type Route } from './route.ts'
import type { Serve } from './serve.ts'

/** Koa with nothing but a router, and an end for whatever the router has no route for. */
export function koaOf(
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
