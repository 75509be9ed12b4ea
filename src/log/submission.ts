import { HASH_BYTES, type Hash } from '../merkle/hash.ts'

/** A leaf that is on its way into the log, or in the log and not in the leaf index yet. */
export interface PendingLeaf {
  readonly hash: Hash
  /** See `leafKey`. */
  readonly key: string
  /** The entry's bytes until they are on disk; empty after that. */
  entry: Uint8Array
  /** Set once the store has the leaf; undefined before. */
  index: number | undefined
  /** True when the leaf index held these bytes already: `index` is where they were logged earlier. */
  loggedBefore: boolean
  /** The submission that brought it. Later submissions of the same bytes wait for this one. */
  readonly submission: Submission
}

/**
 * The new leaves of one submission. They get consecutive indexes in one commit, or none of them is logged. Admission settles
 * it exactly once.
 */
export class Submission {
  leaves: PendingLeaf[] = []
  /** What it holds of the queue's bounds until it is settled. */
  entries = 0
  bytes = 0
  /** When it began to wait for its indexes: milliseconds since 1970. */
  queuedAtMs = 0
  readonly caller: string
  /** Resolves once its leaves are integrated. Its submitter awaits it from the start, so a rejection is always handled. */
  readonly done: Promise<void>
  resolve!: () => void
  reject!: (reason: unknown) => void

  constructor(caller: string) {
    this.caller = caller
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
  }
}

/**
 * The pending leaves by hash, which is how a duplicate is recognised before the leaf index holds the leaf. Admission adds leaves,
 * and removes those that were not logged; the indexer removes those that the index holds.
 */
export class PendingLeaves {
  readonly #byKey = new Map<string, PendingLeaf>()

  get size(): number {
    return this.#byKey.size
  }

  get(key: string): PendingLeaf | undefined {
    return this.#byKey.get(key)
  }

  /** Where duplicates are allowed, the first of several equal leaves stays: look-ups answer the lowest index. */
  add(leaf: PendingLeaf): void {
    if (!this.#byKey.has(leaf.key)) this.#byKey.set(leaf.key, leaf)
  }

  remove(leaves: readonly PendingLeaf[]): void {
    for (const leaf of leaves) {
      if (this.#byKey.get(leaf.key) === leaf) this.#byKey.delete(leaf.key)
    }
  }
}

/** A map key of 32 one-byte characters: shorter and faster to hash than hex. */
export function leafKey(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, HASH_BYTES).toString('latin1')
}

/** The leaf hashes in one buffer, 32 bytes each. That of a single leaf is not copied. */
export function hashesOf(leaves: readonly { readonly hash: Uint8Array }[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!.hash
  const slab = new Uint8Array(leaves.length * HASH_BYTES)
  leaves.forEach((leaf, i) => slab.set(leaf.hash, i * HASH_BYTES))
  return slab
}
