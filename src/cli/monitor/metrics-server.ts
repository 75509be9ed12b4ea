import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SteleError } from '../../errors.ts'
import type { MonitorMetrics } from '../../monitor/metrics.ts'

/** Metrics over HTTP, on this machine only. */
export interface MetricsServer {
  readonly url: string
  close(): Promise<void>
}

/**
 * Serves `/metrics`.
 *
 * @param port 0 takes a free one
 * @throws SteleError `usage` for a port that cannot be had
 */
export async function serveMetrics(metrics: MonitorMetrics, port: number): Promise<MetricsServer> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') {
      response.writeHead(404).end()
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      () => response.writeHead(500).end(),
    )
  })
  await listen(server, port)
  const { port: got } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${got}/metrics`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function listen(server: Server, port: number): Promise<void> {
  const listening = once(server, 'listening')
  server.listen(port, '127.0.0.1')
  try {
    await listening
  } catch (error) {
    throw new SteleError('usage', `--metrics-port ${port}: ${(error as Error).message}`, { cause: error })
  }
}
