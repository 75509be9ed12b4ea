/** What a log answered for one entry. */
export interface Receipt {
  /** The entry, one character for each of its bytes. */
  readonly entry: string
  readonly index: number
  /** Routes differ in what they tell. */
  readonly treeSize?: number
  readonly leafHash?: string
  readonly duplicate?: boolean
  /** A tlog-proof file. */
  readonly proof?: string
}

/** What is known of one entry that was sent. */
interface Fate {
  index: number | undefined
  /** Acknowledged as new: that can be true of one submission only. */
  fresh: boolean
  /** A submission ended without an answer, or with one that leaves open what became of it. */
  inDoubt: boolean
}

/** What submitters know: each entry they sent and what they were told. It is kept outside of the server, and survives it. */
export class Ledger {
  readonly receipts: Receipt[] = []
  /** Signed checkpoints that somebody saw. */
  readonly notes = new Set<string>()
  readonly #fates = new Map<string, Fate>()

  /** Notes that an entry is about to be sent. */
  submit(entry: string): void {
    if (!this.#fates.has(entry)) this.#fates.set(entry, { index: undefined, fresh: false, inDoubt: false })
  }

  /** Notes a receipt. @throws Error if it contradicts an earlier one */
  acknowledge(receipt: Receipt): void {
    const { entry, index, duplicate } = receipt
    const fate = this.#fateOf(entry)
    if (fate.index !== undefined && fate.index !== index) {
      throw new Error(`an entry was acknowledged at index ${fate.index}, and later at ${index}`)
    }
    if (duplicate === false && fate.fresh) throw new Error(`index ${index} was acknowledged as new twice`)
    fate.index = index
    fate.fresh ||= duplicate === false
    this.receipts.push(receipt)
  }

  /** Notes that nobody knows what became of a submission. */
  doubt(entry: string): void {
    this.#fateOf(entry).inDoubt = true
  }

  /** True for an entry that the log may hold, for all its submitters were told. */
  mayHold(entry: string): boolean {
    const fate = this.#fates.get(entry)
    return fate !== undefined && (fate.index !== undefined || fate.inDoubt)
  }

  /** Entries without a receipt. */
  get unacknowledged(): string[] {
    return [...this.#fates].filter(([, fate]) => fate.index === undefined).map(([entry]) => entry)
  }

  get submitted(): number {
    return this.#fates.size
  }

  #fateOf(entry: string): Fate {
    const fate = this.#fates.get(entry)
    if (!fate) throw new Error('an entry was answered that was never sent')
    return fate
  }
}
