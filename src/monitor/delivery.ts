import type { Clock } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import type { Finding } from './finding.ts'
import type { Webhook } from './webhook.ts'

/** What became of an attempt to deliver. */
export interface DeliveryReport {
  readonly url: string
  readonly finding: Finding
  readonly outcome: 'delivered' | 'failed' | 'dropped'
  /** Why not, for a person. */
  readonly message?: string | undefined
}

// The first pause is short since most trouble is a restart; a receiver that is down for longer is asked every 5 minutes.
const FIRST_PAUSE_MS = 1_000
const LONGEST_PAUSE_MS = 300_000
/** More findings do not wait for one receiver: some 50 MB with entries in them. */
const MOST_WAITING = 10_000

/** Brings findings to one webhook, one at a time, until each has been taken. Owner of those that wait. */
export class Delivery {
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

  /** Not taken yet, the one to be sent next in front. */
  get waiting(): ReadonlyMap<string, Finding> {
    return this.#waiting
  }

  add(finding: Finding): void {
    if (this.#waiting.size >= MOST_WAITING) this.#drop()
    this.#waiting.set(finding.id, finding)
    if (this.#stop.signal.aborted) return
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  /** Resolves once nothing waits, or after {@link stop}. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Sends no more; what waits is kept. */
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
      // To the end of the queue: a finding that the receiver will not have must not be in the way of the others.
      if (this.#waiting.delete(finding.id)) this.#waiting.set(finding.id, finding)
      this.#report({ url, finding, outcome: 'failed', message: error.message })
      return this.#pauseMs(error.retryAfterSeconds ?? 0)
    }
  }

  #pauseMs(askedSeconds: number): number {
    const longest = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures++, 20))
    return askedSeconds * 1000 + longest * (0.5 + this.#clock.random() / 2)
  }

  /** A match makes way before anything that speaks of the log itself. */
  #drop(): void {
    const all = [...this.#waiting.values()]
    const finding = all.find(({ kind }) => kind === 'match') ?? all[0]!
    this.#waiting.delete(finding.id)
    const message = `${MOST_WAITING} findings wait for this webhook already`
    this.#report({ url: this.#webhook.url, finding, outcome: 'dropped', message })
  }
}
