import { constants } from 'node:crypto'
import type { Server, ServerOptions } from 'node:http'
import { createServer } from 'node:https'
import type { Socket } from 'node:net'
import type { SecureContextOptions } from 'node:tls'

/** The certificate chain and private key of a server, as PEM text. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}

/** TLS 1.3, and of TLS 1.2 the suites with forward secrecy and authenticated encryption (RFC 7525 section 4.2). */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** The TLS options of a server. When the certificate changes, all of them are set again. */
export function contextOf({ cert, key }: Certificate): SecureContextOptions {
  return {
    cert,
    key,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    // A caller that renegotiates repeatedly would make the server do the expensive half of the work.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
  }
}

/**
 * An HTTP server behind TLS, otherwise as `node:http` makes it.
 *
 * @param handshakeMs a connection that has not finished its handshake after this long is closed
 */
export function createTlsServer(
  certificate: Certificate,
  options: ServerOptions,
  handshakeMs: number,
): Server {
  const server = createServer({ ...options, ...contextOf(certificate), handshakeTimeout: handshakeMs })
  // Node passes a failed handshake to the handler of malformed requests, but without a TLS connection no answer is
  // possible.
  server.removeAllListeners('tlsClientError')
  server.on('tlsClientError', (_, socket) => socket.destroy())
  closeHandshakesToo(server)
  return server
}

/**
 * Closes connections in their handshake when the server stops. The HTTP server does not know them yet, so they would
 * outlive it.
 */
function closeHandshakesToo(server: Server): void {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const closeRequests = server.closeAllConnections.bind(server)
  server.closeAllConnections = () => {
    closeRequests()
    for (const socket of sockets) socket.destroy()
  }
}
