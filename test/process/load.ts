import { Connection } from './connection.ts'
import type { Ledger } from './ledger.ts'
import type { Random } from './random.ts'
import { submit, type Outcome, type Submission } from './submission.ts'

export interface LoadOptions {
  /** Prefix of the log. */
  readonly url: string
  readonly ledger: Ledger
  readonly random: Random
  /** Connections that append, each without a pause. */
  readonly writers: number
  /** Goes into every new entry, so that no two loads make the same. */
  readonly name: string
}

const BATCH_SIZES = [1, 2, 3, 8, 30, 250]

/** Concurrent load on a log: single entries and batches, some of them sent before; a monitor; a reader. */
export class Load {
  readonly outcomes: Outcome[] = []
  /** Statuses that reads were answered with. */
  readonly readStatuses = new Set<number>()
  /** Resolves when every writer has stopped: told to, or because the server is gone. */
  readonly done: Promise<void>
  readonly #options: LoadOptions
  /** Entries that any writer may send again, whatever became of them. */
  readonly #recent: string[] = []
  #made = 0
  #stopped = false

  constructor(options: LoadOptions) {
    this.#options = options
    const writers = Array.from({ length: options.writers }, () => this.#write())
    this.done = Promise.all([...writers, this.#watch(), this.#read()]).then(() => {})
  }

  /** Lets what is on its way end, and sends nothing more. */
  stop(): Promise<void> {
    this.#stopped = true
    return this.done
  }

  async #write(): Promise<void> {
    const { url, ledger } = this.#options
    const connection = new Connection(url)
    while (!this.#stopped) {
      const outcome = await submit(connection, this.#next(), ledger)
      this.outcomes.push(outcome)
      if (outcome.status === undefined) break
    }
    connection.close()
  }

  /** Keeps each checkpoint that is published, as a monitor would. */
  async #watch(): Promise<void> {
    const { url, ledger } = this.#options
    const connection = new Connection(url)
    for (let size = 0; !this.#stopped;) {
      const answer = await connection.ask(`v1/checkpoint?after=${size}&timeout=1`).catch(() => undefined)
      if (!answer) break
      if (answer.status !== 200) continue
      const note = String(answer.body)
      ledger.notes.add(note)
      size = Number(note.split('\n')[1])
    }
    connection.close()
  }

  /** Reads the first entry, one way after the other, from the moment there is one. */
  async #read(): Promise<void> {
    const { url } = this.#options
    const connection = new Connection(url)
    const paths = ['v1/entries?begin=0', 'v1/entries/0', 'v1/entries/0/proof', 'v1/proofs/inclusion?index=0']
    await connection.ask('v1/checkpoint?after=0').catch(() => undefined)
    for (let i = 0; !this.#stopped; i++) {
      const answer = await connection.ask(paths[i % paths.length]!).catch(() => undefined)
      if (!answer) break
      this.readStatuses.add(answer.status)
    }
    connection.close()
  }

  #next(): Submission {
    const { random } = this.#options
    if (random.chance(0.9)) {
      const route = random.pick(['add', 'v1/entries', 'v1/entries', 'v1/entries?proof=true'] as const)!
      return { route, entries: [this.#entry()] }
    }
    const entries = Array.from({ length: random.pick(BATCH_SIZES)! }, () => this.#entry())
    return { route: random.pick(['ndjson', 'bundle'] as const)!, entries }
  }

  /** A new entry, or now and then one that was sent before, perhaps a moment ago by somebody else. */
  #entry(): string {
    const { random, name } = this.#options
    if (random.chance(0.1) && this.#recent.length > 0) return random.pick(this.#recent)!
    const length = random.chance(0.002) ? 65_000 : random.between(0, 400)
    // Any byte but the line feed, which would end a line of a batch.
    const padding = String.fromCharCode(random.between(11, 255)).repeat(length)
    const entry = `${name} ${this.#made++} ${padding}`
    if (this.#recent.push(entry) > 100) this.#recent.shift()
    return entry
  }
}
