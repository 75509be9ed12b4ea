import { networkOf } from '../http/rates.ts'
import type { DeniedLine } from './meta-line.ts'

const MINUTE_MS = 60_000

/** What unknown callers can make the trail grow by; `proto-docs/audit-trail.md` has the sum for an hour. */
export const UNKNOWN_CALLERS = {
  /** Kinds of refusals that are distinguished in one minute; all others share a line. */
  kinds: 30,
  /**
   * Lines in one minute: the first of each kind, and at the end the count of the others; the same for the shared line.
   */
  linesPerMinute: 2 * (30 + 1),
} as const
/** Networks that are distinguished in one minute for each known caller and reason. */
const NETWORKS_OF_CALLER = 8
/** Networks of the shared line that are counted. */
const MOST_NETWORKS = 10_000
/** The address in a line about many networks. */
const OTHERS = 'others'

/** The counter of a refusal. Refusals with the same place are alike. */
interface Place {
  readonly table: Map<string, Tally>
  readonly key: string
  /** True for a line about many networks. */
  readonly shared: boolean
}

interface Tally {
  readonly line: DeniedLine
  /** Refusals after the first. */
  more: number
  /** For the line that unknown callers share: their networks. */
  readonly networks: Set<string> | undefined
}

/**
 * Keeps refused requests from filling the meta log. The first refusal of a caller, reason and minute is written at
 * once; the others are counted, and written as one line when the minute is over. Owner of the counters of this minute.
 *
 * Authenticated callers are counted apart from unknown ones, each under its own id, so that no number of requests
 * without a valid key hides the refusals of a valid key. Their table has a few places for each key or person that was
 * refused, which bounds it by their number.
 */
export class DeniedTally {
  readonly #nowMs: () => number
  readonly #write: (line: DeniedLine) => Promise<void>
  readonly #known = new Map<string, Tally>()
  /** How many networks each known caller and reason has in `#known`. */
  readonly #networksOf = new Map<string, number>()
  readonly #unknown = new Map<string, Tally>()
  #minute = 0
  #timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number, write: (line: DeniedLine) => Promise<void>) {
    this.#nowMs = nowMs
    this.#write = write
  }

  /**
   * Counts a refusal. Resolves once a line about it is written, or at once if it is part of a later line.
   *
   * @throws SteleError `untraceable`
   */
  async count(line: DeniedLine): Promise<void> {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS)
    if (minute !== this.#minute) {
      void this.#flush().catch(() => undefined)
      this.#minute = minute
    }
    const { table, key } = this.#placeOf(line)
    const known = table.get(key)
    if (known) return this.#addTo(known, line, 1)
    const tally = this.#begin(line, 0)
    try {
      await this.#write(tally.line)
    } catch (error) {
      // The line was not written. Unless other refusals were counted with it meanwhile, the next one counts as the
      // first again.
      if (tally.more === 0 && table.get(key) === tally) table.delete(key)
      throw error
    }
  }

  /** Writes the remaining counts. */
  async close(): Promise<void> {
    await this.#flush()
  }

  #placeOf(line: DeniedLine): Place {
    return line.role === undefined ? this.#placeOfUnknown(line) : this.#placeOfKnown(line)
  }

  #placeOfKnown(line: DeniedLine): Place {
    const table = this.#known
    const caller = callerOf(line)
    const key = `${caller} ${networkOf(line.address)}`
    const hasRoom = (this.#networksOf.get(caller) ?? 0) < NETWORKS_OF_CALLER
    return table.has(key) || hasRoom
      ? { table, key, shared: false }
      : { table, key: `${caller} ${OTHERS}`, shared: true }
  }

  #placeOfUnknown({ who = '', address, code }: DeniedLine): Place {
    const table = this.#unknown
    const key = `${who} ${networkOf(address)} ${code}`
    const hasRoom = table.size - (table.has(OTHERS) ? 1 : 0) < UNKNOWN_CALLERS.kinds
    return address !== OTHERS && (table.has(key) || hasRoom)
      ? { table, key, shared: false }
      : { table, key: OTHERS, shared: true }
  }

  #begin(line: DeniedLine, more: number): Tally {
    const { table, key, shared } = this.#placeOf(line)
    const isUnknown = table === this.#unknown
    const networks = shared && isUnknown ? new Set([networkOf(line.address)]) : undefined
    const tally = { line: shared ? sharedLine(line) : line, more, networks }
    table.set(key, tally)
    if (!isUnknown) {
      const caller = callerOf(line)
      this.#networksOf.set(caller, (this.#networksOf.get(caller) ?? 0) + 1)
    }
    this.#timer ??= setTimeout(() => void this.#flush().catch(() => undefined), MINUTE_MS).unref()
    return tally
  }

  #addTo(tally: Tally, { address }: DeniedLine, more: number): void {
    tally.more += more
    if (tally.networks && tally.networks.size < MOST_NETWORKS) tally.networks.add(networkOf(address))
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counted = [...this.#known.values(), ...this.#unknown.values()].filter(({ more }) => more > 0)
    this.#known.clear()
    this.#networksOf.clear()
    this.#unknown.clear()
    await Promise.all(counted.map((tally) => this.#tell(tally)))
  }

  /** A count that cannot be written now is added to the line of the next minute. */
  async #tell({ line, more, networks }: Tally): Promise<void> {
    try {
      await this.#write({ ...line, ...(networks ? { networks: networks.size } : {}), count: more })
    } catch (error) {
      const { table, key } = this.#placeOf(line)
      const known = table.get(key)
      if (known) this.#addTo(known, line, more)
      else this.#begin(line, more)
      throw error
    }
  }
}

/** A known caller and the reason of its refusal. */
function callerOf({ who = '', code }: DeniedLine): string {
  return `${who} ${code}`
}

/** A line about many networks. It names no id: an id that one of them claimed says nothing about the others. */
function sharedLine(line: DeniedLine): DeniedLine {
  if (line.role !== undefined) return { ...line, address: OTHERS }
  const { who: _, ...rest } = line
  return { ...rest, address: OTHERS, networks: 1 }
}
