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
  /** For the head that the log was opened with, which is older than this process. */
  readonly #first: NodeJS.Timeout
  #isDue = false

  /** @param firstMs when the first one is due; later ones follow an interval behind each head */
  constructor(intervalMs: number, firstMs: number, events: IdleHeadEvents) {
    const ring = (): void => this.#ring(events)
    this.#timer = timerOf(ring, intervalMs)
    this.#first = timerOf(ring, firstMs)
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
    clearTimeout(this.#first)
    this.#timer.refresh()
  }

  stop(): void {
    clearTimeout(this.#first)
    clearTimeout(this.#timer)
  }

  #ring(events: IdleHeadEvents): void {
    if (!events.maySign()) return void this.#timer.refresh()
    this.#isDue = true
    events.due()
  }
}

/** setTimeout takes at most 2^31-1 ms and would fire at once for more. */
function timerOf(ring: () => void, afterMs: number): NodeJS.Timeout {
  return setTimeout(ring, Math.min(afterMs, 2 ** 31 - 1)).unref()
}
