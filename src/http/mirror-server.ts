import type { Server } from 'node:http'
import { createBoundedServer } from './connections.ts'
import { createMirrorApp } from './mirror-app.ts'
import type { MirrorHttpDeps } from './mirror-deps.ts'

/** An HTTP server for a mirror, not listening yet. Connections are bounded in number, and requests in time. */
export function createMirrorServer(deps: MirrorHttpDeps): Server {
  const { headersTimeoutMs, uploadTimeoutMs, maxConnections } = deps.limits
  return createBoundedServer(
    { headersTimeoutMs, bodyTimeoutMs: uploadTimeoutMs, maxConnections },
    createMirrorApp(deps),
  )
}
