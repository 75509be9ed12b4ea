import type { Server } from 'node:http'
import { createApp } from './app.ts'
import { Connections } from './connections.ts'
import type { HttpDeps } from './deps.ts'
import { createMetrics } from './metrics/metrics.ts'

/** An HTTP server for logs, not listening yet. Connections are bounded in number, requests and answers in time and bytes. */
export function createHttpServer(deps: HttpDeps): Server {
  const { limits, trustedProxies, tls } = deps
  const connections = deps.connections ?? new Connections(limits, { trustedProxies })
  const metrics = deps.metrics ?? createMetrics(deps.logs, deps.nowMs)
  metrics.watch(connections)
  return connections.createServer(createApp({ ...deps, metrics, connections }), tls)
}
