import { SteleError } from '../errors.ts'
import type { LogStatus } from './options.ts'

/**
 * What the write path of one log is doing: it freezes and halts, and never goes back. Owner of that, and of the reason why
 * no entries are taken.
 */
export class Standing {
  #state: Exclude<LogStatus['state'], 'indexing'> = 'serving'
  #failure: SteleError | undefined
  /** Resolves with the reason if entries are ever refused for good; reads go on. */
  readonly halted: Promise<SteleError>
  #sayHalted!: (failure: SteleError) => void
  /** Resolves once it is known whether entries are taken: witnesses have confirmed the head, or it ended otherwise. */
  readonly settled: Promise<void>
  #saySettled!: () => void

  /** @param confirming witnesses are asked first */
  constructor(confirming: boolean) {
    this.halted = new Promise((resolve) => (this.#sayHalted = resolve))
    this.settled = new Promise((resolve) => (this.#saySettled = resolve))
    if (confirming) this.#state = 'confirming'
    else this.#saySettled()
  }

  get state(): Exclude<LogStatus['state'], 'indexing'> {
    return this.#state
  }

  /** Why no entries are taken, or undefined while they are. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Whether heads are signed of what is there. */
  get signs(): boolean {
    return this.#state === 'serving' || this.#state === 'frozen'
  }

  /** @returns false if nobody was waiting for that */
  confirm(): boolean {
    if (this.#state !== 'confirming') return false
    this.#state = 'serving'
    this.#saySettled()
    return true
  }

  freeze(): void {
    if (this.#state !== 'closing') this.#state = 'frozen'
  }

  /** @returns what is said from now on; undefined if it had halted before */
  halt(cause: SteleError): SteleError | undefined {
    if (this.#state === 'halted') return undefined
    this.#state = 'halted'
    this.#failure = new SteleError('log_halted', `the log takes no entries: ${cause.message}`, { cause })
    this.#saySettled()
    this.#sayHalted(this.#failure)
    return this.#failure
  }

  closing(): void {
    this.#saySettled()
    if (this.#state !== 'halted') this.#state = 'closing'
  }

  /** The files are closed. */
  closed(): void {
    this.#state = 'closed'
  }
}
