import { encodeUtf8 } from '../bytes/text.ts'
import { Transport, type TransportOptions } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import type { Finding } from './finding.ts'
import { signatureHeader, type WebhookSigner } from './webhook-signature.ts'

/** Somebody who is told of findings by HTTP. */
export interface Webhook {
  readonly url: string
  /** Resolves once the receiver has said that it has the finding. @throws SteleError if it has not said so */
  send(finding: Finding): Promise<void>
}

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
const TAKEN = [200, 201, 202, 204]

/**
 * A webhook: findings are sent as JSON by POST, signed, under their ids.
 *
 * @throws SteleError `usage` for what is not an http or https URL
 */
export function createWebhook(url: string, signer: WebhookSigner, options: TransportOptions = {}): Webhook {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new SteleError('usage', 'webhook: expected an http or https URL')
  }
  const transport = new Transport({ timeoutMs: TIMEOUT_MS, ...options })
  return {
    url,
    async send(finding) {
      const body = JSON.stringify(finding)
      await transport.ask(url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'idempotency-key': finding.id,
          'stele-signature': signatureHeader(signer, body, transport.clock.nowMs()),
        },
        body: encodeUtf8(body),
        maxBytes: MAX_ANSWER_BYTES,
        expect: TAKEN,
      })
    },
  }
}
