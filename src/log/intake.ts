import { SteleError, invariant } from '../errors.ts'
import { HASH_BYTES, leafHash, type Hash } from '../merkle/hash.ts'
import type { LeafFinder } from './leaf-finder.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'
import type { Pool } from './pool.ts'
import { hashesOf, Unit, type LiveLeaf } from './unit.ts'

/** Where an entry stands in the log. */
export interface Placement {
  readonly index: number
  readonly leafHash: Hash
  /** True when these bytes were in the log, or on their way, before this submission brought them. */
  readonly duplicate: boolean
}

const NO_BYTES = new Uint8Array(0)

/**
 * The door of a log: hashes what comes, recognises what is already there, and queues the rest. Owner of the map of
 * live leaves: those on their way, and those that the leaf index does not hold yet.
 */
export class Intake {
  readonly #pool: Pool
  readonly #finder: LeafFinder
  readonly #allowDuplicates: boolean
  readonly #observer: LogObserver
  readonly #behind: () => SteleError | undefined
  readonly #live = new Map<string, LiveLeaf>()
  /** Why new submissions are refused. */
  #refusal: SteleError | undefined
  /** Why nothing is queued any more, not even what was admitted before. */
  #halted: SteleError | undefined

  constructor(parts: {
    pool: Pool
    finder: LeafFinder
    allowDuplicates: boolean
    observer?: LogObserver
    /** Why a leaf that the finder does not find may be in the log all the same. */
    behind: () => SteleError | undefined
  }) {
    this.#pool = parts.pool
    this.#finder = parts.finder
    this.#allowDuplicates = parts.allowDuplicates
    this.#observer = parts.observer ?? UNOBSERVED
    this.#behind = parts.behind
  }

  /**
   * Submits entries as one unit: those that are new get consecutive indexes in one commit.
   *
   * @param caller whose share of the queue this counts against
   * @returns one placement for each entry, in order, once all of them are integrated
   * @throws SteleError `overloaded`, `rate_limited`, `shutting_down`, `log_halted`, `index_behind`: nothing was logged;
   *   `outcome_unknown`: repeating it is safe
   */
  async submit(entries: readonly Uint8Array[], caller: string): Promise<Placement[]> {
    try {
      const { unit, leaves, known } = this.#take(entries, caller)
      await (unit.leaves.length === leaves.length ? unit.done : settled(unit, leaves))
      return leaves.map((leaf, i) => placementOf(leaf, known[i]!))
    } catch (error) {
      this.#observer.refused(error instanceof SteleError ? error.code : 'internal')
      throw error
    }
  }

  /** Looks and claims in one breath, without an await: that is the lock. */
  #take(
    entries: readonly Uint8Array[],
    caller: string,
  ): { unit: Unit; leaves: readonly LiveLeaf[]; known: readonly boolean[] } {
    if (this.#refusal) throw this.#refusal
    const behind = this.#allowDuplicates ? undefined : this.#behind()
    if (behind) throw behind
    const hashes = entries.map(leafHash)
    const keys = hashes.map(keyOf)
    const unit = new Unit(caller)
    this.#admit(unit, keys, entries)
    const known: boolean[] = []
    const leaves = keys.map((key, i) => {
      const live = this.#alive(key)
      known.push(live !== undefined)
      return live ?? this.#claim(key, hashes[i]!, entries[i]!, unit)
    })
    if (unit.leaves.length < leaves.length) this.#observer.recognised(leaves.length - unit.leaves.length)
    if (unit.leaves.length > 0) void this.#enqueue(unit)
    return { unit, leaves, known }
  }

  /**
   * Finds a leaf that is integrated, or undefined. Leaves on their way are not there yet.
   *
   * @throws SteleError `index_behind` where it is not found, and may be there
   */
  async find(hash: Hash): Promise<number | undefined> {
    // Asked before the look-up: what it does not find while the index is completed may have been written since.
    const behind = this.#behind()
    const live = this.#live.get(keyOf(hash))
    if (live?.index !== undefined && !behind) return live.index
    const [index] = await this.#finder.find(hash)
    if (index !== undefined) return index
    if (behind) throw behind
    return undefined
  }

  /** A leaf that no caller brings, and that stands in no queue: the last one of a log. */
  claimLast(entry: Uint8Array): LiveLeaf {
    const hash = leafHash(entry)
    return this.#claim(keyOf(hash), hash, entry, new Unit(''))
  }

  /** Says what became of units that were taken from the pool. With an error, their leaves are forgotten. */
  settle(units: readonly Unit[], error?: SteleError): void {
    this.#pool.release(units)
    for (const unit of units) {
      if (error) {
        this.forget(unit.leaves)
        unit.reject(error)
      } else {
        for (const leaf of unit.leaves) leaf.entry = NO_BYTES
        unit.resolve()
      }
    }
  }

  /** Leaves that look-ups find elsewhere from now on. */
  forget(leaves: readonly LiveLeaf[]): void {
    for (const leaf of leaves) {
      if (this.#live.get(leaf.key) === leaf) this.#live.delete(leaf.key)
    }
  }

  /** Refuses whatever comes from now on; what was admitted goes its way. */
  refuse(reason: SteleError): void {
    this.#refusal = reason
  }

  /** Takes entries again after `refuse`. */
  accept(): void {
    this.#refusal = undefined
  }

  /** Refuses whatever comes from now on, and whatever still waits for an index. */
  halt(reason: SteleError): void {
    this.refuse(reason)
    this.#halted = reason
    this.settle(this.#pool.takeAll(), reason)
  }

  /** Leaves that are on their way or not indexed yet. */
  get liveLeaves(): number {
    return this.#live.size
  }

  #alive(key: string): LiveLeaf | undefined {
    return this.#allowDuplicates ? undefined : this.#live.get(key)
  }

  /** Counts what is new against the pool's bounds, before anything is claimed. */
  #admit(unit: Unit, keys: readonly string[], entries: readonly Uint8Array[]): void {
    let count = 0
    let bytes = 0
    entries.forEach((entry, i) => {
      if (this.#alive(keys[i]!)) return
      count++
      bytes += entry.length
    })
    if (count > 0) this.#pool.admit(unit, count, bytes)
  }

  #claim(key: string, hash: Hash, entry: Uint8Array, unit: Unit): LiveLeaf {
    const leaf: LiveLeaf = { hash, key, entry, index: undefined, loggedBefore: false, unit }
    unit.leaves.push(leaf)
    // Where duplicates are allowed, the first of several stays: look-ups answer the lowest index.
    if (!this.#live.has(key)) this.#live.set(key, leaf)
    return leaf
  }

  async #enqueue(unit: Unit): Promise<void> {
    try {
      if (!this.#allowDuplicates) this.#removeLogged(unit, await this.#finder.find(hashesOf(unit.leaves)))
      if (this.#halted) throw this.#halted
      if (unit.leaves.length > 0) this.#pool.push(unit)
      else this.settle([unit])
    } catch (error) {
      this.settle([unit], error instanceof SteleError ? error : ioError(error))
    }
  }

  /** Takes out of a unit the leaves that the log holds already, at these indexes. */
  #removeLogged(unit: Unit, indexes: readonly (number | undefined)[]): void {
    if (indexes.every((index) => index === undefined)) return
    const logged = unit.leaves.filter((leaf, i) => {
      leaf.index = indexes[i]
      leaf.loggedBefore = indexes[i] !== undefined
      return leaf.loggedBefore
    })
    this.#observer.recognised(logged.length)
    unit.leaves = unit.leaves.filter((leaf) => !leaf.loggedBefore)
    this.forget(logged)
  }
}

/** Waits for every unit that these leaves belong to. */
async function settled(unit: Unit, leaves: readonly LiveLeaf[]): Promise<void> {
  const others = new Set(leaves.map((leaf) => leaf.unit))
  const brought = others.delete(unit)
  if (brought) await unit.done
  try {
    for (const other of others) await other.done
  } catch (error) {
    if (!brought) throw error
    throw new SteleError(
      'outcome_unknown',
      'batch: its new entries are in the log, the fate of entries that others had sent before is unknown; ' +
        'repeat the request to learn it',
      { cause: error },
    )
  }
}

function placementOf(leaf: LiveLeaf, known: boolean): Placement {
  invariant(leaf.index !== undefined, 'a settled leaf has no index')
  return { index: leaf.index, leafHash: leaf.hash, duplicate: known || leaf.loggedBefore }
}

/** A map key of 32 one-byte characters: shorter and faster to hash than hex. */
function keyOf(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, HASH_BYTES).toString('latin1')
}

function ioError(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('io_error', `leaf index: ${message}`, { cause: error })
}
