import type { Server } from 'node:http'
import { Connections } from '../http/connections.ts'
import { createMirrorApp } from './app.ts'
import type { MirrorHttpDeps } from './deps.ts'

/** An HTTP server for a mirror, not listening yet. Connections are bounded in number, requests and answers in time. */
export function createMirrorServer(deps: MirrorHttpDeps): Server {
  const { limits } = deps
  const connections = new Connections({ ...limits, bodyTimeoutMs: limits.uploadTimeoutMs })
  deps.metrics?.watch(connections)
  return connections.createServer(createMirrorApp({ ...deps, connections }))
}
