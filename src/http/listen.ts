import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { Server as NetServer, type AddressInfo } from 'node:net'
import { SteleError } from '../errors.ts'

/** How long a kept-alive connection stays open for a request that was in flight when the server was told to stop. */
const LAST_REQUESTS_MS = 250
/** How long a client may take over an answer that was in flight when the server was told to stop. */
const LAST_ANSWERS_MS = 3000

/**
 * Begins to listen.
 *
 * @returns the URL, without a trailing slash
 * @throws SteleError `io_error` if the port is taken or the address is not one of this machine
 */
export async function listen(
  server: Server,
  at: { readonly host: string; readonly port: number },
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new SteleError('io_error', `cannot listen on ${authority(at.host, at.port)}: ${cause.message}`, {
          cause,
        }),
      )
    })
    server.listen(at.port, at.host, resolve)
  })
  const { address, port } = server.address() as AddressInfo
  const scheme = server instanceof TlsServer ? 'https' : 'http'
  return `${scheme}://${authority(address, port)}`
}

/** Host and port as in a URL. */
function authority(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * Stops a server. It accepts no new connections; then `closeState` runs, so that requests in flight get their answers;
 * then connections close as they become idle.
 */
export async function stopListening(server: Server, closeState: () => Promise<void>): Promise<void> {
  const beganMs = performance.now()
  // Not the close() of the HTTP server: it cuts every idle connection, and the next request of a busy client, already
  // in flight, would get no answer.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()))
  await closeState()
  const idle = setInterval(() => {
    if (performance.now() - beganMs > LAST_REQUESTS_MS) server.closeIdleConnections()
  }, 20)
  const last = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS)
  await closed
  clearInterval(idle)
  clearTimeout(last)
  // No connection is open any more; this ends the server's timer for slow requests.
  server.close()
}
