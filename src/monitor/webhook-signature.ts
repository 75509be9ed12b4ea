import { createHmac } from 'node:crypto'
import { toBase64 } from '../bytes/base64.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { parseSigningKey } from '../note/key.ts'

/** Signs the bodies of webhooks, so that whoever gets them knows that they come from this monitor. */
export interface WebhookSigner {
  readonly algorithm: 'hmac-sha256' | 'ed25519'
  /** The signature as text: hex for HMAC, base64 for Ed25519. */
  sign(message: Uint8Array): string
}

/** A secret that is shorter could be found out by trying, from one body that somebody saw. */
const MIN_SECRET_BYTES = 16

/**
 * A signer out of the text of a key file: an Ed25519 key as `stele keygen` writes it, or any other text, which is the
 * secret of an HMAC-SHA256.
 *
 * @param where names the file in messages; the text never is in one
 * @throws SteleError `usage` for a secret that is too short; `malformed` for an Ed25519 key that is none
 */
export function webhookSigner(keyText: string, where: string): WebhookSigner {
  const text = keyText.trim()
  if (text.startsWith('PRIVATE+KEY+')) {
    const key = parseSigningKey(text)
    return { algorithm: 'ed25519', sign: (message) => toBase64(key.sign(message)) }
  }
  const secret = encodeUtf8(text)
  if (secret.length < MIN_SECRET_BYTES) {
    const expected = `expected a secret of at least ${MIN_SECRET_BYTES} bytes, or an Ed25519 key`
    throw new SteleError('usage', `${where}: ${expected}, got ${secret.length} bytes`)
  }
  return {
    algorithm: 'hmac-sha256',
    sign: (message) => createHmac('sha256', secret).update(message).digest('hex'),
  }
}

/**
 * The value of the `Stele-Signature` header: `<algorithm>; t=<seconds since 1970>; v=<signature>`. The time is signed,
 * so that an old body sent again can be told by its age.
 */
export function signatureHeader(signer: WebhookSigner, body: string, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000)
  // The first line keeps the key from signing anything that could be taken for something else, a checkpoint for example.
  const message = encodeUtf8(`stele-webhook/v1\n${seconds}\n${body}`)
  return `${signer.algorithm}; t=${seconds}; v=${signer.sign(message)}`
}
