import type { Server } from 'node:http'
import { createApp } from './app.ts'
import { createBoundedServer } from './connections.ts'
import type { HttpDeps } from './deps.ts'
import { createMetrics } from './metrics.ts'

/** An HTTP server for logs, not listening yet. Connections are bounded in number, and requests in time. */
export function createHttpServer(deps: HttpDeps): Server {
  return createBoundedServer(
    deps.limits,
    createApp({ metrics: createMetrics(deps.logs, deps.nowMs), ...deps }),
    deps.tls,
  )
}
