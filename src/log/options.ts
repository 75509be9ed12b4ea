import type { HeadFile } from '../storage/head-file.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import type { LogStore } from '../storage/store.ts'
import type { Tree } from '../tile/grow.ts'
import type { PoolLimits } from './admission.ts'
import type { SignedHead } from './head.ts'
import type { Indexing } from './leaf-index.ts'
import type { LifecycleState } from './lifecycle.ts'
import type { LogObserver } from './observer.ts'
import type { Witnessing } from './publisher.ts'
import type { HeadSigner } from './signer.ts'

/** The settings of one log; `proto-docs/configuration.md` has the defaults and what they cost. */
export interface LogOptions {
  readonly pool: PoolLimits
  /** Every entry becomes a leaf of its own, also when the same bytes are in the log. */
  readonly allowDuplicates: boolean
  /** An idle log re-signs its head after this long, which tells a quiet log from a dead one. */
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

/** The opened files of a log, which the log closes, and what it works with. */
export interface LogParts {
  readonly origin: string
  readonly store: LogStore
  readonly headFile: HeadFile
  readonly index: LeafIndex
  readonly signer: HeadSigner
  /** For a log whose heads are cosigned before readers see them. */
  readonly witnessing?: Witnessing
  /** Counts what this log does. */
  readonly observer?: LogObserver
}

/** What a log was verified to hold when it was opened. */
export interface Verified {
  readonly tree: Tree
  readonly head: SignedHead
  readonly published: SignedHead
  /** The latest timestamp that is known to have been signed: later than the head's after some crashes. */
  readonly signedUntilMs: number
}

/** What of a log is scrubbed, and what it is compared with. Nothing is written through it. */
export interface StoredParts {
  readonly origin: string
  readonly store: Pick<LogStore, 'inspect' | 'checkFiles'>
  readonly index: Pick<LeafIndex, 'cursor' | 'lookup' | 'checkFiles'>
  /** Checks both signatures of a head. @throws SteleError as `HeadSigner.verify` */
  verifyHead(head: SignedHead): void
  /** The newest tree that is in the store: verified when the log was opened, and grown in memory since. */
  tree(): Tree
}

/** What a log is doing, for health and metrics. */
export interface LogStatus {
  /**
   * The lifecycle state. In place of `serving` it is `halted` while the clock does not allow signing, and `indexing` while no entries
   * are taken because the leaf index is not complete: until it is, it is not known which entries are in the log.
   */
  readonly state: LifecycleState | 'indexing'
  /** Why it is halted, or how far the leaf index is. */
  readonly reason: string | undefined
  /** Entries that were admitted and are not settled yet. */
  readonly queuedEntries: number
  readonly queuedBytes: number
  /** How long the oldest of them has waited for its index and for the disk. */
  readonly oldestWaitingMs: number
  /** How long the oldest write has waited for the disk; 0 without any. */
  readonly writePendingMs: number
  readonly indexLag: number
  /** Leaves that are on their way, or not in the leaf index yet. */
  readonly pendingLeaves: number
  readonly commits: number
  /** Why the newest head is not published yet. */
  readonly unpublished: string | undefined
}
