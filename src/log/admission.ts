import { SteleError, invariant } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { indexError, type Indexer, type LeafFinder } from './leaf-index.ts'
import type { LogObserver } from './observer.ts'
import type { HeadClock } from './signer.ts'
import { hashesOf, leafKey, Submission, type PendingLeaf, type PendingLeaves } from './submission.ts'

/** Where an entry is in the log. */
export interface Placement {
  readonly index: number
  readonly leafHash: Hash
  /** True when these bytes were in the log, or on their way, before this submission brought them. */
  readonly duplicate: boolean
}

/** Bounds of what may wait to be committed, and of one commit. */
export interface PoolLimits {
  /** Entries that may wait at once. */
  readonly maxEntries: number
  /** Bytes of entries that may wait at once; each entry counts `ENTRY_OVERHEAD_BYTES` more than its length. */
  readonly maxBytes: number
  /** Entries of one commit, which bounds how long a commit takes; a larger submission is committed alone. */
  readonly maxCommitEntries: number
  /** Bytes of one commit, likewise. */
  readonly maxCommitBytes: number
}

/** What a waiting entry costs beside its bytes: objects, promises, a key of the map of pending leaves. */
const ENTRY_OVERHEAD_BYTES = 512

/** A caller may hold this share of the queue; past it the answer is 429, and others still get in. */
const CALLER_SHARE = 0.5

const NO_BYTES = new Uint8Array(0)

/**
 * Admits entries to the log: hashes them, recognises those that are already there, and queues the rest for the sequencer within
 * bounds. Owner of the queue. A submission is admitted (counted against the bounds), queued, taken by the sequencer, and settled.
 */
export class Admission {
  /** The bounds of the queue and how much of them is used. */
  readonly quota: Quota
  readonly #limits: PoolLimits
  readonly #allowDuplicates: boolean
  readonly #clock: HeadClock
  readonly #pending: PendingLeaves
  readonly #finder: LeafFinder
  readonly #indexer: Indexer
  readonly #observer: LogObserver
  #queue: Submission[] = []
  #wake: (() => void) | undefined
  /** Why new submissions are refused. */
  #refusal: SteleError | undefined
  /** Why nothing is queued any more, including what was admitted before. */
  #halted: SteleError | undefined

  constructor(parts: {
    limits: PoolLimits
    allowDuplicates: boolean
    clock: HeadClock
    pending: PendingLeaves
    finder: LeafFinder
    indexer: Indexer
    observer: LogObserver
  }) {
    this.quota = new Quota(parts.limits, parts.clock)
    this.#limits = parts.limits
    this.#allowDuplicates = parts.allowDuplicates
    this.#clock = parts.clock
    this.#pending = parts.pending
    this.#finder = parts.finder
    this.#indexer = parts.indexer
    this.#observer = parts.observer
  }

  /**
   * Submits entries together: those that are new get consecutive indexes in one commit.
   *
   * @param caller whose share of the queue they count against
   * @returns one placement for each entry, in order, once all of them are integrated
   * @throws SteleError `overloaded`, `rate_limited`, `shutting_down`, `log_halted`, `index_behind`, `frozen`: nothing was logged;
   *   `outcome_unknown`: repeating it is safe
   */
  async submit(entries: readonly Uint8Array[], caller: string): Promise<Placement[]> {
    try {
      const { submission, leaves, known } = this.#admit(entries, caller)
      const allNew = leaves.length > 0 && submission.leaves.length === leaves.length
      await (allNew ? submission.done : allDone(submission, leaves))
      return leaves.map((leaf, i) => placementOf(leaf, known[i]!))
    } catch (error) {
      this.#observer.refused(error instanceof SteleError ? error.code : 'internal')
      throw error
    }
  }

  /** Refuses new submissions; those that were admitted go on. Undefined admits again. */
  refuse(reason: SteleError | undefined): void {
    this.#refusal = reason
  }

  /** Refuses new submissions, and those that still wait for an index. */
  halt(reason: SteleError): void {
    this.#refusal = reason
    this.#halted = reason
    this.settle(this.#queue.splice(0), reason)
  }

  /** As many queued submissions, oldest first, as one commit may hold; at least one if any is queued. */
  take(): Submission[] {
    let entries = 0
    let bytes = 0
    const fits = (submission: Submission): boolean => {
      entries += submission.leaves.length
      bytes += submission.bytes
      return entries <= this.#limits.maxCommitEntries && bytes <= this.#limits.maxCommitBytes
    }
    const over = this.#queue.findIndex((submission, i) => !fits(submission) && i > 0)
    const taken = over < 0 ? this.#queue : this.#queue.slice(0, over)
    this.#queue = over < 0 ? [] : this.#queue.slice(over)
    return taken
  }

  /** Resolves when a submission is queued, when the last admitted one is settled, or when `wake` is called. */
  async whenWork(): Promise<void> {
    if (this.#queue.length > 0) return
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#wake = undefined
  }

  /** Ends the wait in `whenWork`. */
  wake(): void {
    this.#wake?.()
  }

  /** Since when the oldest queued submission waits, milliseconds since 1970. */
  get oldestMs(): number | undefined {
    return this.#queue[0]?.queuedAtMs
  }

  /** Answers submissions that were taken: their leaves are integrated, or, with an error, forgotten. */
  settle(submissions: readonly Submission[], error?: SteleError): void {
    this.quota.release(submissions)
    for (const submission of submissions) {
      if (error) {
        this.#pending.remove(submission.leaves)
        submission.reject(error)
      } else {
        for (const leaf of submission.leaves) leaf.entry = NO_BYTES
        submission.resolve()
      }
    }
    // The loop also waits for this to close or to freeze, and then there may be nothing left to queue.
    if (this.quota.entries === 0) this.wake()
  }

  /** Makes a leaf of the last entry of a log, which no caller submits and no queue holds. */
  lastLeaf(entry: Uint8Array): PendingLeaf {
    const hash = leafHash(entry)
    return this.#newLeaf(leafKey(hash), hash, entry, new Submission(''))
  }

  /** Looks leaves up and adds them without an await in between: that is the lock. */
  #admit(
    entries: readonly Uint8Array[],
    caller: string,
  ): { submission: Submission; leaves: readonly PendingLeaf[]; known: readonly boolean[] } {
    this.#checkAdmits()
    const hashes = entries.map(leafHash)
    const keys = hashes.map(leafKey)
    const submission = new Submission(caller)
    this.#reserve(submission, keys, entries)
    const known: boolean[] = []
    const leaves = keys.map((key, i) => {
      const same = this.#samePending(key)
      known.push(same !== undefined)
      return same ?? this.#newLeaf(key, hashes[i]!, entries[i]!, submission)
    })
    const duplicates = leaves.length - submission.leaves.length
    if (duplicates > 0) this.#observer.recognised(duplicates)
    if (submission.leaves.length > 0) void this.#enqueue(submission)
    return { submission, leaves, known }
  }

  #checkAdmits(): void {
    const refusal = this.#refusal ?? this.#clock.tooEarly()
    if (refusal) throw refusal
    const behind = this.#allowDuplicates ? undefined : this.#indexer.behind
    if (behind) throw behind
  }

  /** Counts what is new against the bounds, before any of it is added. */
  #reserve(submission: Submission, keys: readonly string[], entries: readonly Uint8Array[]): void {
    let count = 0
    let bytes = 0
    entries.forEach((entry, i) => {
      if (this.#samePending(keys[i]!)) return
      count++
      bytes += entry.length
    })
    if (count > 0) this.quota.reserve(submission, count, bytes)
  }

  #samePending(key: string): PendingLeaf | undefined {
    return this.#allowDuplicates ? undefined : this.#pending.get(key)
  }

  #newLeaf(key: string, hash: Hash, entry: Uint8Array, submission: Submission): PendingLeaf {
    const leaf: PendingLeaf = { hash, key, entry, index: undefined, loggedBefore: false, submission }
    submission.leaves.push(leaf)
    this.#pending.add(leaf)
    return leaf
  }

  async #enqueue(submission: Submission): Promise<void> {
    try {
      if (!this.#allowDuplicates) {
        this.#removeLogged(submission, await this.#finder.lookUp(hashesOf(submission.leaves)))
      }
      if (this.#halted) throw this.#halted
      if (submission.leaves.length > 0) this.#push(submission)
      else this.settle([submission])
    } catch (error) {
      this.settle([submission], indexError(error))
    }
  }

  #push(submission: Submission): void {
    submission.queuedAtMs = this.#clock.nowMs()
    this.#queue.push(submission)
    this.wake()
  }

  /** Takes out of a submission the leaves that the log holds already, at these indexes. */
  #removeLogged(submission: Submission, indexes: readonly (number | undefined)[]): void {
    if (indexes.every((index) => index === undefined)) return
    const logged = submission.leaves.filter((leaf, i) => {
      leaf.index = indexes[i]
      leaf.loggedBefore = indexes[i] !== undefined
      return leaf.loggedBefore
    })
    this.#observer.recognised(logged.length)
    submission.leaves = submission.leaves.filter((leaf) => !leaf.loggedBefore)
    this.#pending.remove(logged)
  }
}

/**
 * The bounds of the queue: how much waits in all, and how much of it is each caller's. Owner of these counts. A submission holds
 * its part from `reserve` until it is settled.
 */
class Quota {
  readonly #limits: PoolLimits
  readonly #clock: HeadClock
  #entries = 0
  #bytes = 0
  readonly #heldBy = new Map<string, number>()
  /** How fast the queue drains, which says when to try again. */
  #drain: { bytesPerMs: number; atMs: number }

  constructor(limits: PoolLimits, clock: HeadClock) {
    this.#limits = limits
    this.#clock = clock
    this.#drain = { bytesPerMs: 0, atMs: clock.nowMs() }
  }

  /** Entries that were admitted and are not settled yet. */
  get entries(): number {
    return this.#entries
  }

  /** The bytes that count for them. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Counts entries of a submission against the bounds.
   *
   * @throws SteleError `overloaded` when the queue is full, `rate_limited` when this caller's share is
   */
  reserve(submission: Submission, entries: number, entryBytes: number): void {
    const bytes = entryBytes + entries * ENTRY_OVERHEAD_BYTES
    if (this.#entries + entries > this.#limits.maxEntries || this.#bytes + bytes > this.#limits.maxBytes) {
      throw this.#refusal(
        'overloaded',
        `${this.#entries} entries wait already: nothing of this request was logged`,
      )
    }
    const held = (this.#heldBy.get(submission.caller) ?? 0) + bytes
    // A caller's only submission always fits, however large its share: otherwise it could never be made.
    if (held > this.#limits.maxBytes * CALLER_SHARE && held > bytes) {
      throw this.#refusal(
        'rate_limited',
        `half of the queue is yours already: nothing of this request was logged`,
      )
    }
    this.#entries += entries
    this.#bytes += bytes
    this.#heldBy.set(submission.caller, held)
    submission.bytes += bytes
    submission.entries += entries
  }

  /** Gives back what the submissions hold. Called once for each admitted submission. */
  release(submissions: readonly Submission[]): void {
    let bytes = 0
    for (const submission of submissions) {
      bytes += submission.bytes
      this.#entries -= submission.entries
      const held = (this.#heldBy.get(submission.caller) ?? 0) - submission.bytes
      if (held > 0) this.#heldBy.set(submission.caller, held)
      else this.#heldBy.delete(submission.caller)
    }
    this.#bytes -= bytes
    this.#measureDrain(bytes)
  }

  /** A moving average over about a second of the bytes that leave per millisecond. */
  #measureDrain(bytes: number): void {
    const nowMs = this.#clock.nowMs()
    const elapsedMs = Math.max(1, nowMs - this.#drain.atMs)
    const weight = Math.min(1, elapsedMs / 1000)
    const rate = bytes / elapsedMs
    this.#drain = { bytesPerMs: this.#drain.bytesPerMs * (1 - weight) + rate * weight, atMs: nowMs }
  }

  #refusal(code: 'overloaded' | 'rate_limited', message: string): SteleError {
    // Before the first commit there is no rate to go by, so one second is a guess.
    const seconds = this.#drain.bytesPerMs > 0 ? this.#bytes / this.#drain.bytesPerMs / 1000 : 1
    return new SteleError(code, `queue: ${message}`, {
      retryAfterSeconds: Math.min(60, Math.max(1, Math.ceil(seconds))),
    })
  }
}

/** Waits for every submission that these leaves belong to. */
async function allDone(submission: Submission, leaves: readonly PendingLeaf[]): Promise<void> {
  const others = new Set(leaves.map((leaf) => leaf.submission))
  const broughtNew = others.delete(submission)
  if (broughtNew) await submission.done
  try {
    for (const other of others) await other.done
  } catch (error) {
    if (!broughtNew) throw error
    throw new SteleError(
      'outcome_unknown',
      'batch: its new entries are in the log, the fate of entries that others had sent before is unknown; ' +
        'repeat the request to learn it',
      { cause: error },
    )
  }
}

function placementOf(leaf: PendingLeaf, known: boolean): Placement {
  invariant(leaf.index !== undefined, 'a settled leaf has no index')
  return { index: leaf.index, leafHash: leaf.hash, duplicate: known || leaf.loggedBefore }
}
