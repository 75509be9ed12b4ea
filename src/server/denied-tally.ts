import { networkOf } from '../http/rates.ts'
import type { DeniedLine } from './meta-line.ts'

const MINUTE_MS = 60_000
/** Callers and reasons that are told apart in one minute; all others share a line. */
const MOST_KINDS = 1000
/** Stands for the address of all others. */
const OTHERS = 'others'

interface Tally {
  readonly line: DeniedLine
  /** Those that came after the first. */
  more: number
}

/**
 * Keeps refused requests from filling the meta log: the first of a caller, reason and minute is written at once, the
 * others are counted and written as one line when the minute is over. Owner of the counts of this minute.
 */
export class DeniedTally {
  readonly #nowMs: () => number
  readonly #write: (line: DeniedLine) => Promise<void>
  readonly #tallies = new Map<string, Tally>()
  #minute = 0
  #timer: NodeJS.Timeout | undefined

  constructor(nowMs: () => number, write: (line: DeniedLine) => Promise<void>) {
    this.#nowMs = nowMs
    this.#write = write
  }

  /**
   * Counts a refusal. Resolves once a line speaks of it, or at once if it is to be part of a later line.
   *
   * @throws SteleError `untraceable`
   */
  async count(line: DeniedLine): Promise<void> {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS)
    if (minute !== this.#minute) {
      void this.#flush().catch(() => undefined)
      this.#minute = minute
    }
    const key = this.#keyOf(line)
    const known = this.#tallies.get(key)
    if (known) {
      known.more++
      return
    }
    const tally = this.#begin(key, line, 0)
    try {
      await this.#write(line)
    } catch (error) {
      // No line speaks of it: unless others rely on it by now, the next one is the first again.
      if (tally.more === 0 && this.#tallies.get(key) === tally) this.#tallies.delete(key)
      throw error
    }
  }

  /** Writes what was counted since. */
  async close(): Promise<void> {
    await this.#flush()
  }

  /** What makes two refusals alike; with too many kinds of them, all others are alike. */
  #keyOf({ who = '', role, address, code }: DeniedLine): string {
    // A key id that is only claimed can be another one each time: past the limit it is not looked at.
    const teller = role === undefined && code === 'rate_limited' ? '' : who
    const own = `${teller} ${networkOf(address)} ${code}`
    return this.#tallies.has(own) || this.#tallies.size < MOST_KINDS ? own : OTHERS
  }

  #begin(key: string, line: DeniedLine, more: number): Tally {
    const tally = { line: key === OTHERS ? { ...line, address: OTHERS } : line, more }
    this.#tallies.set(key, tally)
    this.#timer ??= setTimeout(() => void this.#flush().catch(() => undefined), MINUTE_MS).unref()
    return tally
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counted = [...this.#tallies.values()].filter(({ more }) => more > 0)
    this.#tallies.clear()
    await Promise.all(counted.map((tally) => this.#tell(tally)))
  }

  /** What cannot be written now is part of the line of the next minute. */
  async #tell({ line, more }: Tally): Promise<void> {
    try {
      await this.#write({ ...line, count: more })
    } catch (error) {
      const key = this.#keyOf(line)
      const known = this.#tallies.get(key)
      if (known) known.more += more
      else this.#begin(key, line, more)
      throw error
    }
  }
}
