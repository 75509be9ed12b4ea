import {
  emptyState,
  formatState,
  type LogState,
  type MonitorStore,
  parseState,
  type Undelivered,
} from './state.ts'

/**
 * Owns the state of one log. Progress (an accepted head, processed entries) changes only after it is on disk, so that
 * after a failed write the work is done again rather than skipped. State that only prevents repeated reports may be
 * ahead of the disk.
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
   * @param undelivered returns the undelivered findings, saved with every state
   * @param from first entry to read of a log that was never followed
   * @throws SteleError as `parseState`; errors of the store
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

  /** Changes the state in memory at once; the next {@link commit} saves it. */
  note(change: Partial<LogState>): void {
    this.#state = { ...this.#state, ...change }
  }

  /** Saves the whole state, then applies the change. @throws errors of the store; then the change is not applied */
  async commit(change: Partial<LogState> = {}): Promise<void> {
    const text = formatState({ ...this.#state, ...change, undelivered: this.#undelivered() })
    if (text !== this.#onDisk) await this.#store.save(this.#state.origin, text)
    this.#onDisk = text
    this.note(change)
  }
}
