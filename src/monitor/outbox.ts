import type { Clock } from '../client/index.ts'
import { Delivery, type DeliveryReport } from './delivery.ts'
import type { Finding } from './finding.ts'
import type { Alarm } from './problems.ts'
import type { Undelivered } from './state.ts'
import type { Webhook } from './webhook.ts'

/** What findings go through. */
export interface OutboxOptions {
  readonly webhooks: readonly Webhook[]
  readonly clock: Clock
  /** Told of each finding once; resolves once it is out. */
  readonly print: (finding: Finding) => Promise<void>
  readonly onDelivery?: ((report: DeliveryReport) => void) | undefined
}

/** So many ids are remembered, which is what one round can find twice; whoever gets the findings knows them by id, too. */
const MOST_RAISED = 100_000

/** The way out for findings, of all logs together: once to standard output, and to each webhook until it has them. */
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

  /** What a log's state is to keep, so that it is delivered after a restart. */
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

  /** Delivers what an earlier run could not; webhooks that are not asked for any more are left out. */
  restore(undelivered: readonly Undelivered[]): void {
    for (const { finding, to } of undelivered) {
      this.#remember(finding.id)
      for (const delivery of this.#deliveries) if (to.includes(delivery.url)) delivery.add(finding)
    }
  }

  /** How many findings wait, by webhook. */
  get waiting(): readonly { readonly url: string; readonly count: number }[] {
    return this.#deliveries.map(({ url, waiting }) => ({ url, count: waiting.size }))
  }

  /** Resolves once everything has been delivered. */
  async idle(): Promise<void> {
    await Promise.all(this.#deliveries.map((delivery) => delivery.idle()))
  }

  /** Delivers no more. What waits is in the states of the logs, once they are saved. */
  async stop(): Promise<void> {
    for (const delivery of this.#deliveries) delivery.stop()
    await this.idle()
  }

  #remember(id: string): void {
    this.#raised.add(id)
    if (this.#raised.size > MOST_RAISED) this.#raised.delete(this.#raised.values().next().value!)
  }
}
