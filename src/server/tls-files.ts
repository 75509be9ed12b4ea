import { createPrivateKey, X509Certificate, type KeyObject } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import { SteleError } from '../errors.ts'
import { contextOf, type Certificate } from '../http/tls-server.ts'
import { readTextFile } from '../storage/files.ts'
import { readKeyFile } from '../storage/key-file.ts'

/** Where a certificate and its private key are. */
export interface TlsPaths {
  readonly cert: string
  readonly key: string
}

/** A certificate with its key, read and found to belong together. */
export interface ReadCertificate extends Certificate {
  /** SHA-256 of the certificate's DER, hex with colons, as other tools show it. */
  readonly fingerprint: string
  readonly notBeforeMs: number
  readonly notAfterMs: number
}

/**
 * Reads a certificate, what is behind it in its file, and its private key. Whether it is valid at this moment is for
 * the caller to look at.
 *
 * @throws SteleError `io_error`; `key_missing`, `key_permissions`; `malformed` for what is no PEM; `wrong_key` for a
 *   key that is not the certificate's
 */
export async function readCertificate(paths: TlsPaths): Promise<ReadCertificate> {
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
  // The rest of the chain, and keys that are too weak to be served.
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

/** OpenSSL's own message is not handed on: it may quote its input, and that may be a private key. */
function parsed<T>(code: 'malformed', message: string, parse: () => T): T {
  try {
    return parse()
  } catch {
    throw new SteleError(code, message)
  }
}
