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

  /** Counts a refusal. Resolves once a line speaks of it, or at once if it is to be part of a later line. */
  async count(line: DeniedLine): Promise<void> {
    const minute = Math.floor(this.#nowMs() / MINUTE_MS)
    if (minute !== this.#minute) {
      void this.#flush().catch(() => undefined)
      this.#minute = minute
    }
    const own = `${line.who ?? ''} ${line.address} ${line.code}`
    const key = this.#tallies.has(own) || this.#tallies.size < MOST_KINDS ? own : OTHERS
    const known = this.#tallies.get(key)
    if (known) {
      known.more++
      return
    }
    this.#tallies.set(key, { line: key === OTHERS ? { ...line, address: OTHERS } : line, more: 0 })
    this.#timer ??= setTimeout(() => void this.#flush().catch(() => undefined), MINUTE_MS).unref()
    await this.#write(line)
  }

  /** Writes what was counted since. */
  async close(): Promise<void> {
    await this.#flush()
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const counted = [...this.#tallies.values()].filter(({ more }) => more > 0)
    this.#tallies.clear()
    await Promise.all(counted.map(({ line, more }) => this.#write({ ...line, count: more })))
  }
}
