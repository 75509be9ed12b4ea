import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { Server } from 'node:http'
import { Server as TlsServer } from 'node:https'
import { createSecureContext } from 'node:tls'
import type { ServerLogger } from '../http/logger.ts'
import type { MetaEvents } from '../audit-trail/meta-events.ts'
import type { Config } from '../config/config.ts'
import { SteleError } from '../errors.ts'
import { asSteleError, withoutPaths } from '../http/errors.ts'
import { type Certificate, contextOf } from '../http/tls-server.ts'
import { readTextFile } from '../storage/files.ts'
import { readKeyFile } from '../storage/key-file.ts'

interface Parts {
  readonly logger: ServerLogger
  readonly events: MetaEvents
  readonly nowMs: () => number
}

/** Owns the certificate that a server presents. */
export class Tls {
  readonly #paths: TlsPaths
  readonly #parts: Parts
  #current: ReadCertificate
  #server: TlsServer | undefined
  /** Reloads run one after another, so that the result of the last signal wins. */
  #last: Promise<void> = Promise.resolve()

  private constructor(paths: TlsPaths, parts: Parts, current: ReadCertificate) {
    this.#paths = paths
    this.#parts = parts
    this.#current = current
  }

  /**
   * Reads the configured certificate. An expired certificate is served, with an error in the server's log: clients
   * detect it themselves, and clients that do not verify keep working.
   *
   * @returns undefined without TLS
   * @throws SteleError as `readCertificate`
   */
  static async open(config: Config, parts: Parts): Promise<Tls | undefined> {
    const paths = { cert: config['tls-cert'], key: config['tls-key'] }
    if (paths.cert === '') return undefined
    const current = await readCertificate(paths)
    const fault = faultAt(current, parts.nowMs())
    if (fault) parts.logger.error({ ...shown(current) }, `${paths.cert}: ${fault}; it is served all the same`)
    return new Tls(paths, parts, current)
  }

  get current(): ReadCertificate {
    return this.#current
  }

  /** Sets the server that presents each new certificate. */
  attach(server: Server): void {
    if (server instanceof TlsServer) this.#server = server
  }

  /**
   * Reads both files again. New handshakes use the new certificate; open connections stay. If the new certificate is
   * unusable for any reason, the current one stays, and the server's log and the meta log record that. Never rejects.
   */
  reload(): Promise<void> {
    this.#last = this.#last.then(() => this.#reload())
    return this.#last
  }

  async #reload(): Promise<void> {
    const { logger, events, nowMs } = this.#parts
    try {
      const next = await readCertificate(this.#paths)
      const fault = faultAt(next, nowMs())
      if (fault) throw new SteleError('malformed', `${this.#paths.cert}: ${fault}`)
      this.#server?.setSecureContext(contextOf(next))
      this.#current = next
      logger.info(shown(next), 'tls: the certificate was read again')
      events.tell('tls_reloaded', undefined, shown(next))
    } catch (error) {
      const { code, message } = asSteleError(error)
      const kept = shown(this.#current)
      logger.error({ code, kept }, `tls: the certificate stays as it was: ${message}`)
      events.tell('tls_reload_failed', undefined, { code, reason: withoutPaths(message), kept })
    }
  }
}

function shown({ fingerprint, notAfterMs }: ReadCertificate): { fingerprint: string; notAfter: string } {
  return { fingerprint, notAfter: new Date(notAfterMs).toISOString() }
}

function faultAt({ notBeforeMs, notAfterMs }: ReadCertificate, atMs: number): string | undefined {
  if (atMs >= notAfterMs) return `the certificate has expired, at ${new Date(notAfterMs).toISOString()}`
  if (atMs < notBeforeMs) return `the certificate is not valid before ${new Date(notBeforeMs).toISOString()}`
  return undefined
}

/** Paths of a certificate and its private key. */
interface TlsPaths {
  readonly cert: string
  readonly key: string
}

/** A certificate and its private key, checked to match. */
interface ReadCertificate extends Certificate {
  /** SHA-256 of the certificate's DER, in hex with colons, as OpenSSL and browsers show it. */
  readonly fingerprint: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/**
 * Reads a certificate, the chain behind it in the same file, and its private key. Does not check the period of
 * validity.
 *
 * @throws SteleError `io_error`; `key_missing`, `key_permissions`; `malformed` if a file is not PEM; `wrong_key` if the
 *   key does not belong to the certificate
 */
async function readCertificate(paths: TlsPaths): Promise<ReadCertificate> {
  const cert = await readTextFile(paths.cert)
  if (cert === undefined)
    throw new SteleError('io_error', `${paths.cert}: expected a certificate, found no file`)
  const key = await readKeyFile(paths.key, "the certificate's private key is not there")
  const leaf = parsed(
    'malformed',
    `${paths.cert}: expected a certificate in PEM`,
    () => new X509Certificate(cert),
  )
  const privateKey = parsed(
    'malformed',
    `${paths.key}: expected a private key in PEM, not encrypted`,
    (): KeyObject => createPrivateKey(key),
  )
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new SteleError(
      'wrong_key',
      `${paths.key}: expected the private key of the first certificate in ${paths.cert}, got another one`,
    )
  }
  // Checks the rest of the chain, and refuses keys that are too weak for TLS.
  parsed('malformed', `${paths.cert}: expected a chain that TLS can use`, () =>
    createSecureContext(contextOf({ cert, key })),
  )
  return {
    cert,
    key,
    fingerprint: leaf.fingerprint256,
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
  }
}

/** OpenSSL's message is dropped: it may quote its input, which may be a private key. */
function parsed<T>(code: 'malformed', message: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    throw new SteleError(code, message)
  }
}
