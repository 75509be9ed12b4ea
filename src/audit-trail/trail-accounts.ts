/** Entries that a line of the trail speaks of: which log, the index of the first, and how many. */
export interface Placed {
  readonly log: string
  readonly index: number
  readonly entries: number
}

/** How far the trail has lines for the entries of a log. */
export interface LogAccount {
  readonly log: string
  /** Entries of the log, where that was looked up. */
  readonly size?: number | undefined
  /** Lines speak of entries below this index, but for the gaps. Absent for a log that no line has spoken of. */
  readonly accounted?: number | undefined
  /** Ranges [begin, end) below `accounted` that no line speaks of, oldest first, the newest 100. */
  readonly gaps?: readonly (readonly [begin: number, end: number])[] | undefined
  /** Entries in older gaps. */
  readonly earlier?: number | undefined
}

const MOST_GAPS = 100

interface Account {
  accounted: number
  gaps: (readonly [number, number])[]
  earlier: number
}

/**
 * Which entries the lines of the trail speak of, log by log. Lines come in another order than entries: a gap opens when
 * a later entry has its line first, and closes with its own. One that stays open is an entry without a line.
 */
export class TrailAccounts {
  readonly #accounts = new Map<string, Account>()

  /** @param known as {@link list} gave it */
  constructor(known: readonly LogAccount[] = []) {
    for (const { log, size, accounted, gaps = [], earlier = 0 } of known) {
      // What a start has said of earlier entries is said.
      if (size !== undefined) this.begin(log, size)
      else if (accounted !== undefined) this.#accounts.set(log, { accounted, gaps: [...gaps], earlier })
    }
  }

  /** From now on: all entries below a size count as spoken of. */
  begin(log: string, size: number): void {
    this.#accounts.set(log, { accounted: size, gaps: [], earlier: 0 })
  }

  /** A line speaks of entries. Of a log that is not known yet it is taken to have begun with the first of them. */
  cover({ log, index, entries }: Placed): void {
    const account = this.#accounts.get(log)
    const end = index + entries
    if (!account) return this.begin(log, end)
    if (index === account.accounted) {
      account.accounted = end
    } else if (index > account.accounted) {
      account.gaps.push([account.accounted, index])
      account.accounted = end
      if (account.gaps.length > MOST_GAPS) forgetOldest(account)
    } else {
      account.gaps = account.gaps.flatMap((gap) => without(gap, index, end))
    }
  }

  /** What is known of a log. */
  of(log: string): Omit<LogAccount, 'log' | 'size'> {
    const account = this.#accounts.get(log)
    if (!account) return {}
    const { accounted, gaps, earlier } = account
    return { accounted, ...(gaps.length > 0 ? { gaps: [...gaps] } : {}), ...(earlier > 0 ? { earlier } : {}) }
  }

  /** All logs that are known, sorted. */
  list(): LogAccount[] {
    return [...this.#accounts.keys()].sort().map((log) => ({ log, ...this.of(log) }))
  }
}

/** Ranges of entries without a line: those that are known, and those behind the last line. */
export function unaccounted({ size, accounted, gaps = [] }: LogAccount): (readonly [number, number])[] {
  const behind =
    size !== undefined && accounted !== undefined && accounted < size ? [[accounted, size] as const] : []
  return [...gaps, ...behind]
}

function forgetOldest(account: Account): void {
  const [begin, end] = account.gaps.shift()!
  account.earlier += end - begin
}

/** What is left of a gap. */
function without([begin, end]: readonly [number, number], from: number, to: number): [number, number][] {
  if (to <= begin || from >= end) return [[begin, end]]
  const left: [number, number][] = []
  if (begin < from) left.push([begin, from])
  if (to < end) left.push([to, end])
  return left
}
