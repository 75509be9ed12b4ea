/** Whom the clock for idle heads asks and tells. */
export interface IdleHeadEvents {
  /** Whether a head could be signed now. */
  maySign(): boolean
  /** One is due. */
  due(): void
}

/** Says when a head is signed again though no entry came. Owner of that wish. */
export class IdleHead {
  readonly #timer: NodeJS.Timeout
  #isDue = false

  constructor(intervalMs: number, events: IdleHeadEvents) {
    // setTimeout takes at most 2^31-1 ms and would fire at once for more.
    this.#timer = setTimeout(() => this.#ring(events), Math.min(intervalMs, 2 ** 31 - 1)).unref()
  }

  get isDue(): boolean {
    return this.#isDue
  }

  /** One is wanted whatever the time. */
  ask(): void {
    this.#isDue = true
  }

  /** One is about to be signed. */
  signing(): void {
    this.#isDue = false
    this.#timer.refresh()
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #ring(events: IdleHeadEvents): void {
    if (!events.maySign()) return void this.#timer.refresh()
    this.#isDue = true
    events.due()
  }
}
