import type { Server } from 'node:http'
import { Connections } from '../http/connections.ts'
import { createWitnessApp } from './app.ts'
import type { WitnessHttpDeps } from './deps.ts'

/** An HTTP server for a witness, not listening yet. Connections are bounded in number, requests and answers in time. */
export function createWitnessServer(deps: WitnessHttpDeps): Server {
  const connections = new Connections(deps.limits)
  deps.metrics?.watch(connections)
  return connections.createServer(createWitnessApp({ ...deps, connections }))
}
