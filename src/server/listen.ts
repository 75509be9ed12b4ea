import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SteleError } from '../errors.ts'

/** How long a reader may take over an answer that was on its way when the server was told to stop. */
const LAST_ANSWERS_MS = 3000

/**
 * Begins to listen.
 *
 * @returns the URL, without a trailing slash
 * @throws SteleError `io_error` if the port is taken or the address is none of this machine's
 */
export async function listen(
  server: Server,
  at: { readonly host: string; readonly port: number },
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new SteleError('io_error', `cannot listen on ${at.host}:${at.port}: ${cause.message}`, { cause }),
      )
    })
    server.listen(at.port, at.host, resolve)
  })
  const { address, port, family } = server.address() as AddressInfo
  return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`
}

/**
 * Stops a server: no new connections; then what stands behind it, so that requests on their way get their answers; then
 * the connections, as they fall idle.
 */
export async function stopListening(server: Server, closeState: () => Promise<void>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  await closeState()
  const idle = setInterval(() => server.closeIdleConnections(), 20)
  const last = setTimeout(() => server.closeAllConnections(), LAST_ANSWERS_MS)
  await closed
  clearInterval(idle)
  clearTimeout(last)
}
