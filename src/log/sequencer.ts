import type { LogStore } from '../storage/store.ts'
import { growTree, type Tree } from '../tile/grow.ts'
import { encodeHead, type SignedHead } from './head.ts'
import { frozenError, unknownOutcome } from './refusals.ts'
import type { HeadSigner } from './signer.ts'
import { hashesOf, type LiveLeaf } from './unit.ts'

/**
 * Gives entries their indexes. Owner of the tree and of the signed head: both grow, and only after the store has
 * them. One step at a time; whoever calls `step` sees to that.
 */
export class Sequencer {
  readonly #store: LogStore
  readonly #signer: HeadSigner
  readonly #nowMs: () => number
  #tree: Tree
  #head: SignedHead
  #signedUntilMs: number

  constructor(parts: {
    store: LogStore
    signer: HeadSigner
    nowMs: () => number
    tree: Tree
    head: SignedHead
    /** The latest timestamp that is known to have been signed: later than the head's after some crashes. */
    signedUntilMs: number
  }) {
    this.#store = parts.store
    this.#signer = parts.signer
    this.#nowMs = parts.nowMs
    this.#tree = parts.tree
    this.#head = parts.head
    this.#signedUntilMs = parts.signedUntilMs
  }

  get tree(): Tree {
    return this.#tree
  }

  /** The time of the next head is later than this, milliseconds since 1970. */
  get lastMs(): number {
    return Math.max(this.#head.timestampMs, this.#signedUntilMs)
  }

  /**
   * Appends leaves, or with none of them signs the same tree anew.
   *
   * @param final makes this the last step that has leaves: every later head is marked, too
   * @returns the head that covers them, which is in the store and not sealed yet: nobody may see it
   * @throws SteleError `frozen` for leaves behind a final head; `outcome_unknown`, and then the log must be reopened: nobody knows what is on disk
   */
  async step(leaves: readonly LiveLeaf[], final = this.#head.final): Promise<SignedHead> {
    // Whatever doors there are before it: here nobody gets past.
    if (this.#head.final && leaves.length > 0) throw frozenError(this.#head.final)
    const from = this.#tree.size
    const { tree, tiles } = growTree(this.#tree, hashesOf(leaves))
    const signed = await this.#signer.sign({
      size: tree.size,
      root: tree.root,
      timestampMs: this.#nextTimestamp(),
    })
    const head = final ? { ...signed, final } : signed
    const entries = leaves.map((leaf) => leaf.entry)

    // The signed head stays in this function until the store has it: one that escaped but was not kept could
    // contradict the next one.
    try {
      await this.#store.commit({ from, entries, tiles, head: { size: tree.size, record: encodeHead(head) } })
    } catch (error) {
      throw unknownOutcome(error)
    }

    this.#tree = tree
    this.#head = head
    leaves.forEach((leaf, i) => (leaf.index = from + i))
    return head
  }

  /** RFC 6962 section 3.5: each timestamp is later than the one before it, even if the clock was set back. */
  #nextTimestamp(): number {
    this.#signedUntilMs = Math.max(this.#nowMs(), this.lastMs + 1)
    return this.#signedUntilMs
  }
}
