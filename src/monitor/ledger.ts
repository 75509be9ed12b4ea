import {
  emptyState,
  formatState,
  type LogState,
  type MonitorStore,
  parseState,
  type Undelivered,
} from './state.ts'

/**
 * Owner of the state of one log. What says that work is done (a head accepted, entries dealt with) moves only after it
 * is on disk, so that a full disk stops the monitor and does not make it forget. What only keeps it from repeating
 * itself may be ahead of the disk.
 */
export class Ledger {
  readonly #store: MonitorStore
  readonly #undelivered: () => readonly Undelivered[]
  #state: LogState
  #onDisk: string | undefined

  private constructor(
    store: MonitorStore,
    undelivered: () => readonly Undelivered[],
    state: LogState,
    onDisk: string | undefined,
  ) {
    this.#store = store
    this.#undelivered = undelivered
    this.#state = state
    this.#onDisk = onDisk
  }

  /**
   * @param undelivered what is saved with every state besides
   * @param from where to begin with a log that was never followed
   * @throws SteleError as `parseState`; whatever the store throws
   */
  static async open(
    store: MonitorStore,
    origin: string,
    from: number,
    undelivered: () => readonly Undelivered[],
  ): Promise<Ledger> {
    const text = await store.load(origin)
    const state = text === undefined ? emptyState(origin, from) : parseState(text, origin)
    return new Ledger(store, undelivered, state, text)
  }

  get state(): LogState {
    return this.#state
  }

  /** Remembers something at once; it is saved with the next {@link commit}. */
  note(change: Partial<LogState>): void {
    this.#state = { ...this.#state, ...change }
  }

  /** Saves everything, then takes over the change. @throws whatever the store throws; then the change is not taken */
  async commit(change: Partial<LogState> = {}): Promise<void> {
    const text = formatState({ ...this.#state, ...change, undelivered: this.#undelivered() })
    if (text !== this.#onDisk) await this.#store.save(this.#state.origin, text)
    this.#onDisk = text
    this.note(change)
  }
}
