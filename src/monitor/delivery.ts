import { createHmac } from 'node:crypto'
import { toBase64 } from '../bytes/base64.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { type Clock, Transport, type TransportOptions } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import { parseSigningKey } from '../note/key.ts'
import type { Finding } from './finding.ts'
import type { Alarm } from './problems.ts'
import type { Undelivered } from './state.ts'

/** The result of one attempt to deliver a finding. */
export interface DeliveryReport {
  readonly url: string
  readonly finding: Finding
  readonly outcome: 'delivered' | 'failed' | 'dropped'
  /** The reason for a failure, as text. */
  readonly message?: string | undefined
}

// The first pause is short, since most failures are restarts of the receiver. The longest pause between attempts is 5
// minutes.
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 300_000
/** The most findings that wait for one receiver: about 50 MB if they hold entries. */
const MOST_WAITING = 10_000

/** Delivers findings to one webhook, one at a time, until the webhook has accepted each of them. Owns the queue. */
class Delivery {
  readonly #webhook: Webhook
  readonly #clock: Clock
  readonly #report: (report: DeliveryReport) => void
  readonly #stop = new AbortController()
  readonly #waiting = new Map<string, Finding>()
  #running: Promise<void> | undefined
  #failures = 0

  constructor(webhook: Webhook, clock: Clock, report: (report: DeliveryReport) => void) {
    this.#webhook = webhook
    this.#clock = clock
    this.#report = report
  }

  get url(): string {
    return this.#webhook.url
  }

  /** Findings not yet accepted, in the order of sending. */
  get waiting(): ReadonlyMap<string, Finding> {
    return this.#waiting
  }

  add(finding: Finding): void {
    if (this.#waiting.size >= MOST_WAITING) this.#drop()
    this.#waiting.set(finding.id, finding)
    if (this.#stop.signal.aborted) return
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  /** Resolves once the queue is empty, or after {@link stop}. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Stops sending; the queue is kept. */
  stop(): void {
    this.#stop.abort()
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0 && !this.#stop.signal.aborted) {
      const finding = this.#waiting.values().next().value!
      const pauseMs = await this.#send(finding)
      if (pauseMs > 0) await this.#clock.sleep(pauseMs, this.#stop.signal).catch(() => undefined)
    }
  }

  /** @returns how long to wait before the next attempt */
  async #send(finding: Finding): Promise<number> {
    const { url } = this.#webhook
    try {
      await this.#webhook.send(finding)
      this.#waiting.delete(finding.id)
      this.#failures = 0
      this.#report({ url, finding, outcome: 'delivered' })
      return 0
    } catch (error) {
      if (!(error instanceof SteleError)) throw error
      // Moves the finding to the end of the queue, so that one that the receiver refuses does not block the others.
      if (this.#waiting.delete(finding.id)) this.#waiting.set(finding.id, finding)
      this.#report({ url, finding, outcome: 'failed', message: error.message })
      return this.#pauseMs(error.retryAfterSeconds ?? 0)
    }
  }

  #pauseMs(askedSeconds: number): number {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures++, 20))
    return askedSeconds * 1000 + longest * (0.5 + this.#clock.random() / 2)
  }

  /** Drops the oldest match, or the oldest finding if there is no match: findings about the log itself matter more. */
  #drop(): void {
    const all = [...this.#waiting.values()]
    const finding = all.find(({ kind }) => kind === 'match') ?? all[0]!
    this.#waiting.delete(finding.id)
    const message = `${MOST_WAITING} findings wait for this webhook already`
    this.#report({ url: this.#webhook.url, finding, outcome: 'dropped', message })
  }
}

/** What an outbox is made of. */
interface OutboxOptions {
  readonly webhooks: readonly Webhook[]
  readonly clock: Clock
  /** Called with each finding once; resolves once the finding is written. */
  readonly print: (finding: Finding) => Promise<void>
  readonly onDelivery?: ((report: DeliveryReport) => void) | undefined
}

/**
 * The most ids that are remembered, enough for the repeats within one round. Receivers can recognise repeats by id as
 * well.
 */
const MOST_RAISED = 100_000

/**
 * Delivers the findings of all logs: once to standard output, and to each webhook until the webhook has accepted them.
 */
export class Outbox implements Alarm {
  readonly #print: (finding: Finding) => Promise<void>
  readonly #deliveries: readonly Delivery[]
  readonly #raised = new Set<string>()

  constructor({ webhooks, clock, print, onDelivery = () => {} }: OutboxOptions) {
    this.#print = print
    this.#deliveries = webhooks.map((webhook) => new Delivery(webhook, clock, onDelivery))
  }

  async raise(finding: Finding): Promise<void> {
    if (this.#raised.has(finding.id)) return
    this.#remember(finding.id)
    for (const delivery of this.#deliveries) delivery.add(finding)
    await this.#print(finding)
  }

  /** The undelivered findings of a log. They are saved with its state, so that they are delivered after a restart. */
  undelivered(origin: string): Undelivered[] {
    const byId = new Map<string, { finding: Finding; to: string[] }>()
    for (const { url, waiting } of this.#deliveries) {
      for (const finding of waiting.values()) {
        if (finding.log !== origin) continue
        const item = byId.get(finding.id) ?? { finding, to: [] }
        item.to.push(url)
        byId.set(finding.id, item)
      }
    }
    return [...byId.values()]
  }

  /** Queues what an earlier run did not deliver. Findings for webhooks that are no longer configured are dropped. */
  restore(undelivered: readonly Undelivered[]): void {
    for (const { finding, to } of undelivered) {
      this.#remember(finding.id)
      for (const delivery of this.#deliveries) if (to.includes(delivery.url)) delivery.add(finding)
    }
  }

  /** Number of waiting findings, by webhook. */
  get waiting(): readonly { readonly url: string; readonly count: number }[] {
    return this.#deliveries.map(({ url, waiting }) => ({ url, count: waiting.size }))
  }

  async idle(): Promise<void> {
    await Promise.all(this.#deliveries.map((delivery) => delivery.idle()))
  }

  /** Stops delivering. Waiting findings are in the saved states of the logs. */
  async stop(): Promise<void> {
    for (const delivery of this.#deliveries) delivery.stop()
    await this.idle()
  }

  #remember(id: string): void {
    this.#raised.add(id)
    if (this.#raised.size > MOST_RAISED) this.#raised.delete(this.#raised.values().next().value!)
  }
}

/** A receiver of findings over HTTP. */
export interface Webhook {
  readonly url: string
  /** Resolves once the receiver has accepted the finding. @throws SteleError if it has not */
  send(finding: Finding): Promise<void>
}

const TIMEOUT_MS = 10_000
const MAX_ANSWER_BYTES = 64 * 1024
const TAKEN = [200, 201, 202, 204]

/**
 * A webhook: findings are sent as signed JSON by POST, each with its id.
 *
 * @throws SteleError `usage` unless the URL is http or https
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

/** Signs the bodies of webhook requests, so that a receiver can verify that they come from this monitor. */
interface WebhookSigner {
  readonly algorithm: 'hmac-sha256' | 'ed25519'
  /** The signature as text: hex for HMAC, base64 for Ed25519. */
  sign(message: Uint8Array): string
}

/** A shorter secret could be found by brute force from one captured body. */
const MIN_SECRET_BYTES = 16

/**
 * Makes a signer from the text of a key file: an Ed25519 key as written by `stele keygen`, or any other text, which is
 * used as an HMAC-SHA256 secret.
 *
 * @param where names the file in error messages, which never quote its text
 * @throws SteleError `usage` for a secret that is too short; `malformed` for an invalid Ed25519 key
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
 * so that a receiver can reject an old body that is sent again.
 */
function signatureHeader(signer: WebhookSigner, body: string, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000)
  // The first line ensures that a signature by this key is never valid for another kind of text, for example a
  // checkpoint.
  const message = encodeUtf8(`stele-webhook/v1\n${seconds}\n${body}`)
  return `${signer.algorithm}; t=${seconds}; v=${signer.sign(message)}`
}
