import type { Server } from 'node:http'
import { createBoundedServer } from './connections.ts'
import { createWitnessApp } from './witness-app.ts'
import type { WitnessHttpDeps } from './witness-deps.ts'

/** An HTTP server for a witness, not listening yet. Connections are bounded in number, and requests in time. */
export function createWitnessServer(deps: WitnessHttpDeps): Server {
  return createBoundedServer(deps.limits, createWitnessApp(deps))
}
