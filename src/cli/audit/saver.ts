import { hasCode, type SteleError } from '../../errors.ts'
import type { Tree } from '../../tile/grow.ts'
import { writeDurably } from '../files/durable.ts'
import { formatAuditState } from './state.ts'

/** The most work that a killed audit repeats, in milliseconds. */
const SAVE_EVERY_MS = 2_000

/** Saves the tree of a running audit to a file, in the background. One write at a time; a tree never changes. */
export class AuditSaver {
  readonly #path: string
  readonly #origin: string
  readonly #onFailure: (error: SteleError) => void
  readonly #everyMs: number
  #savedMs = performance.now()
  #writing: Promise<void> | undefined
  #failure: SteleError | undefined

  constructor(
    path: string,
    origin: string,
    onFailure: (error: SteleError) => void,
    everyMs: number = SAVE_EVERY_MS,
  ) {
    this.#path = path
    this.#origin = origin
    this.#onFailure = onFailure
    this.#everyMs = everyMs
  }

  /** Saves if enough time has passed. */
  offer(tree: Tree): void {
    const nowMs = performance.now()
    if (this.#writing !== undefined || nowMs - this.#savedMs < this.#everyMs) return
    this.#savedMs = nowMs
    this.#writing = this.#write(tree).finally(() => (this.#writing = undefined))
  }

  /**
   * Saves the final state.
   *
   * @param tree undefined if the audit found damage; then the state saved earlier stays
   * @returns why the last write failed, if it did
   */
  async finish(tree: Tree | undefined): Promise<SteleError | undefined> {
    await this.#writing
    if (tree) await this.#write(tree)
    return this.#failure
  }

  /** A full disk does not end hours of work. It is reported once, and again at the end. */
  async #write(tree: Tree): Promise<void> {
    try {
      await writeDurably(this.#path, formatAuditState(this.#origin, tree))
      this.#failure = undefined
    } catch (error) {
      if (!hasCode(error, 'io_error')) throw error
      if (!this.#failure) this.#onFailure(error)
      this.#failure = error
    }
  }
}
