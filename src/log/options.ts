import type { HeadFile } from '../storage/head-file.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import type { LogStore } from '../storage/store.ts'
import type { LogObserver } from './observer.ts'
import type { PoolLimits } from './pool.ts'
import type { HeadCosigner, PublishedStore } from './publisher.ts'
import type { HeadSigner } from './signer.ts'

/** What one log can be told; `proto-docs/configuration.md` has the defaults and what they cost. */
export interface LogOptions {
  readonly pool: PoolLimits
  /** Every entry becomes a leaf of its own, also when the same bytes are in the log. */
  readonly allowDuplicates: boolean
  /** An idle log signs its head anew after this long, so that quiet can be told from dead. */
  readonly headIntervalMs: number
  /** Memory for tiles that proofs read again and again. */
  readonly cacheBytes: number
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /**
   * How far a head may be dated ahead of the clock, or of the witnesses' where theirs are later; nothing is signed beyond that.
   * Default: `MAX_AHEAD_MS`.
   */
  readonly maxAheadMs?: number
  /** How a leaf index that lacks leaves is completed. Default: as `INDEXING`. */
  readonly indexing?: Indexing
}

/** As far as clocks that are kept by a time server are never apart. */
export const MAX_AHEAD_MS = 300_000

export interface Indexing {
  /** As many missing leaves are written before the log is open; with more, all of them are written behind the open log. */
  readonly atOpening: number
  /** Leaves of one durable step, after which the cursor moves. A multiple of 256 reads each tile once. */
  readonly step: number
}

/** The durable parts of a log, opened; the log closes them. */
export interface LogParts {
  readonly origin: string
  readonly store: LogStore
  readonly headFile: HeadFile
  readonly index: LeafIndex
  readonly signer: HeadSigner
  /** For a log whose heads are cosigned before readers see them. */
  readonly witnessing?: Witnessing
  /** Whoever counts what this log does. */
  readonly observer?: LogObserver
}

/** Who cosigns the heads of a log, and what of that outlives a restart. */
export interface Witnessing {
  readonly cosigner: HeadCosigner
  readonly store: PublishedStore
  /** What was published when the log was closed, not verified; undefined where that is lost. */
  readonly suspect: Uint8Array | 'none yet' | undefined
  /** How long to wait before asking again after too few cosigned. */
  readonly retryMs: number
  /**
   * Entries are also taken when the first round of asking brings no confirmation. What contradicts the log still stops
   * it. For a log that others wait for, such as the audit trail.
   */
  readonly goesOn?: boolean
}

/** What a log is doing, for health and metrics. */
export interface LogStatus {
  /**
   * `confirming`: with witnesses, no entries are taken until they have cosigned the head it was opened with. `indexing`: none are
   * taken until the leaf index is complete, for until then it is not known which of them are in the log.
   */
  readonly state: 'confirming' | 'serving' | 'indexing' | 'frozen' | 'halted' | 'closing' | 'closed'
  /** Why it is halted, or how far the leaf index is. */
  readonly reason: string | undefined
  readonly queuedEntries: number
  readonly queuedBytes: number
  /** How long the oldest of them has waited for its index and for the disk. */
  readonly oldestWaitingMs: number
  /** How long the oldest write has waited for the disk; 0 without any. */
  readonly writePendingMs: number
  readonly indexLag: number
  readonly liveLeaves: number
  readonly commits: number
  /** Why the newest head is not published yet. */
  readonly unpublished: string | undefined
}
