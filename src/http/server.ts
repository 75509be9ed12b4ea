import type { Server } from 'node:http'
import { createApp } from './app.ts'
import { Connections } from './connections.ts'
import type { HttpDeps } from './deps.ts'
import { createMetrics } from './metrics/metrics.ts'

/**
 * An HTTP server for logs, not listening yet. It bounds the number of connections, and the time and size of requests
 * and answers.
 */
export function createHttpServer(deps: HttpDeps): Server {
  const { limits, trustedProxies, tls } = deps
  const connections = deps.connections ?? new Connections(limits, { trustedProxies })
  const metrics = deps.metrics ?? createMetrics(deps.logs, deps.nowMs)
  metrics.watch(connections)
  return connections.createServer(createApp({ ...deps, metrics, connections }), tls)
}
