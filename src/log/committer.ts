import type { Tree } from '../tile/grow.ts'
import type { FinalMark, SignedHead } from './head.ts'
import { unknownOutcome } from './refusals.ts'
import { Steps, type Step } from './steps.ts'
import type { LiveLeaf, Unit } from './unit.ts'
import type { WriterParts } from './writer-parts.ts'

/** Whom a committer tells, at once. */
export interface CommitterEvents {
  /** Leaves are about to be signed. */
  signing(): void
  /** A head is in both of its places. In order. */
  onHead(head: SignedHead): void
  /** What was waiting for it is answered. */
  settle(units: readonly Unit[]): void
  /** Nothing may follow: what is on disk has to be read back first. */
  fail(units: readonly Unit[], error: unknown): void
}

/** Takes leaves to both places of the head that covers them. Owner of the newest head that is in both. */
export class Committer {
  readonly #parts: WriterParts
  readonly #events: CommitterEvents
  readonly #steps = new Steps()
  #integrated: SignedHead

  constructor(parts: WriterParts, events: CommitterEvents, head: SignedHead) {
    this.#parts = parts
    this.#events = events
    this.#integrated = head
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#integrated
  }

  /** The newest committed tree. */
  get tree(): Tree {
    return this.#parts.sequencer.tree
  }

  get committed(): number {
    return this.#steps.committed
  }

  /** See `Steps.oldestMs`. */
  get oldestMs(): number {
    return this.#steps.oldestMs
  }

  /** See `Steps.pendingMs`. */
  get pendingMs(): number {
    return this.#steps.pendingMs
  }

  /**
   * One commit. It never rejects: whoever waits is told by `settle` or `fail`.
   *
   * @param mark ends the log with it: the last leaves and the mark are one commit, and no crash leaves one without the other
   * @returns once the next commit may follow; `sealed` resolves when the head is in its second place
   */
  async commit(
    units: readonly Unit[],
    leaves: readonly LiveLeaf[],
    mark?: FinalMark,
  ): Promise<{ readonly sealed: Promise<void> }> {
    const { indexer, sequencer, observer } = this.#parts
    const step = this.#steps.begin(units, leaves)
    try {
      await indexer.room()
      this.#events.signing()
      const head = await sequencer.step(leaves, mark)
      observer.synced('database')
      return { sealed: this.#finish(step, head) }
    } catch (error) {
      this.#steps.end(step)
      this.#events.fail(units, error)
      return { sealed: Promise.resolve() }
    }
  }

  /**
   * Seals a committed head, and only then lets anybody know of it. The store comes first, so that after a crash
   * between the two the head file is the one that is behind; one that is ahead always means a rollback.
   */
  async #finish(step: Step, head: SignedHead): Promise<void> {
    const { sealer, indexer, observer } = this.#parts
    const { units, leaves, beganMs } = step
    try {
      await sealer.seal(head)
    } catch (error) {
      return this.#events.fail(units, unknownOutcome(error))
    } finally {
      this.#steps.end(step)
    }
    observer.committed(leaves.length, performance.now() - beganMs)
    this.#steps.count()
    this.#integrated = head
    this.#events.onHead(head)
    indexer.follow(leaves)
    this.#events.settle(units)
  }
}
