import { HASH_BYTES, type Hash } from '../merkle/hash.ts'

/** A leaf that is on its way into the log, or in it and not in the leaf index yet. */
export interface LiveLeaf {
  readonly hash: Hash
  /** Its key in the map of live leaves. */
  readonly key: string
  /** The entry's bytes until they are on disk; after that nobody needs them here. */
  entry: Uint8Array
  /** Given by the sequencer, undefined before. */
  index: number | undefined
  /** True when the index was found in the log: these bytes had been logged earlier. */
  loggedBefore: boolean
  /** Who brought it. Whoever submits the same bytes meanwhile waits for that unit. */
  readonly unit: Unit
}

/** Leaf hashes, one behind the other. */
export function hashesOf(leaves: readonly LiveLeaf[]): Uint8Array {
  if (leaves.length === 1) return leaves[0]!.hash
  const slab = new Uint8Array(leaves.length * HASH_BYTES)
  leaves.forEach((leaf, i) => slab.set(leaf.hash, i * HASH_BYTES))
  return slab
}

/**
 * The new leaves of one submission: they get consecutive indexes in one commit, or none at all. Settled exactly
 * once, by the intake on behalf of whoever knows the outcome.
 */
export class Unit {
  leaves: LiveLeaf[] = []
  /** Bytes and entries it holds of the pool's bounds, until it is settled. */
  bytes = 0
  admitted = 0
  /** When it began to wait for its indexes: milliseconds since 1970. */
  queuedAtMs = 0
  readonly caller: string
  readonly done: Promise<void>
  resolve!: () => void
  reject!: (reason: unknown) => void

  constructor(caller: string) {
    this.caller = caller
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    // Somebody waits for every unit; this only covers the moment before they get to it.
    this.done.catch(() => {})
  }
}
