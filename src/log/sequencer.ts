import { SteleError } from '../errors.ts'
import type { HeadFile } from '../storage/head-file.ts'
import type { LogStore } from '../storage/store.ts'
import { growTree, type Tree } from '../tile/grow.ts'
import type { Admission } from './admission.ts'
import { encodeHead, type FinalRecord, type SignedHead } from './head.ts'
import type { Indexer } from './leaf-index.ts'
import { frozenError, type Freezing, type Lifecycle } from './lifecycle.ts'
import type { LogObserver } from './observer.ts'
import type { Publisher } from './publisher.ts'
import type { HeadClock, HeadSigner } from './signer.ts'
import { hashesOf, type PendingLeaf, type Submission } from './submission.ts'

/**
 * Commits submissions in groups, one commit at a time: while one commit is written to the database, the next one gathers in
 * admission, and the head of the one before is written to the head file. Owner of the newest integrated head.
 */
export class Sequencer {
  readonly #tree: SignedTree
  readonly #headFile: HeadFileWriter
  readonly #clock: HeadClock
  readonly #admission: Admission
  readonly #lifecycle: Lifecycle
  readonly #publisher: Publisher
  readonly #indexer: Indexer
  readonly #observer: LogObserver
  readonly #inFlight = new InFlightCommits()
  #integrated: SignedHead
  #commits = 0
  readonly #running: Promise<void>

  constructor(parts: {
    tree: SignedTree
    headFile: HeadFile
    /** The head that the log was opened with. */
    head: SignedHead
    clock: HeadClock
    admission: Admission
    lifecycle: Lifecycle
    publisher: Publisher
    indexer: Indexer
    observer: LogObserver
  }) {
    this.#tree = parts.tree
    this.#headFile = new HeadFileWriter(parts.headFile, parts.observer)
    this.#integrated = parts.head
    this.#clock = parts.clock
    this.#admission = parts.admission
    this.#lifecycle = parts.lifecycle
    this.#publisher = parts.publisher
    this.#indexer = parts.indexer
    this.#observer = parts.observer
    void this.#indexer.lost.then((failure) => this.#halt([], failure))
    this.#running = this.#run()
  }

  /** The newest head that is in the database and in the head file. */
  get integrated(): SignedHead {
    return this.#integrated
  }

  /** How many commits have been integrated. */
  get commits(): number {
    return this.#commits
  }

  /** How long the oldest commit has waited for the disk; 0 without any. */
  get writePendingMs(): number {
    return this.#inFlight.pendingMs
  }

  /** When the oldest submission that is not integrated was queued, milliseconds since 1970; Infinity without any. */
  get oldestMs(): number {
    return Math.min(this.#inFlight.oldestMs, this.#admission.oldestMs ?? Infinity)
  }

  /** Resolves when nothing is committed or written any more, after `Lifecycle.close` or `Lifecycle.halt`. */
  async drained(): Promise<void> {
    await this.#running
    await this.#headFile.drained()
  }

  async #run(): Promise<void> {
    const lifecycle = this.#lifecycle
    while (lifecycle.state !== 'halted') {
      if (!this.#hasRequest()) await this.#admission.whenWork()
      const submissions = this.#admission.take()
      if (lifecycle.contradiction) return this.#halt(submissions, lifecycle.contradiction)
      await this.#step(submissions)
      if (lifecycle.state === 'closing' && this.#admission.quota.entries === 0) return
    }
  }

  /** Whether there is something to do beside committing what is queued. */
  #hasRequest(): boolean {
    const { reSignDue, contradiction } = this.#lifecycle
    return reSignDue || contradiction !== undefined || this.#dueFreezing() !== undefined
  }

  /** The freeze request, once all that was admitted before it is settled. */
  #dueFreezing(): Freezing | undefined {
    return this.#admission.quota.entries === 0 ? this.#lifecycle.freezing : undefined
  }

  #step(submissions: readonly Submission[]): Promise<void> | undefined {
    if (submissions.length === 0 && !this.#hasRequest()) return undefined
    const early = this.#clock.tooEarly()
    if (early) return this.#postpone(submissions, early)
    const freezing = this.#dueFreezing()
    return freezing ? this.#freeze(freezing) : this.#commit(this.#inFlight.begin(submissions))
  }

  #postpone(submissions: readonly Submission[], early: SteleError): undefined {
    this.#admission.settle(submissions, early)
    this.#lifecycle.postpone(early)
  }

  /**
   * Signs a commit's leaves and stores them. Never rejects: those who wait are answered by `#finish` or `#halt`.
   *
   * @param final freezes the log with this commit. The last leaf and the final record are one commit, so no crash leaves one
   *   without the other
   * @returns once the next commit may follow
   */
  async #commit(commit: InFlightCommit, final?: FinalRecord): Promise<void> {
    try {
      await this.#indexer.room()
      this.#lifecycle.signing()
      const head = await this.#tree.append(commit.leaves, final)
      this.#observer.synced('database')
      commit.finished = this.#finish(commit, head)
    } catch (error) {
      this.#inFlight.end(commit)
      this.#halt(commit.submissions, error)
    }
  }

  /**
   * Writes a stored head to the head file, and only then acknowledges and publishes it. The database comes first, so after a crash
   * between the two the head file is behind; a head file that is ahead always means that the database was rolled back.
   */
  async #finish(commit: InFlightCommit, head: SignedHead): Promise<void> {
    const { submissions, leaves, beganMs } = commit
    try {
      await this.#headFile.write(head)
    } catch (error) {
      return this.#halt(submissions, unknownOutcome(error))
    } finally {
      this.#inFlight.end(commit)
    }
    this.#observer.committed(leaves.length, performance.now() - beganMs)
    this.#commits++
    this.#integrated = head
    this.#publisher.publish(head)
    this.#indexer.follow(leaves)
    this.#admission.settle(submissions)
  }

  async #freeze({ record, lastEntry }: Freezing): Promise<void> {
    const leaves = lastEntry === undefined ? [] : [this.#admission.lastLeaf(lastEntry)]
    const commit = this.#inFlight.begin([], leaves)
    try {
      await this.#commit(commit, record)
      await commit.finished
    } catch (error) {
      this.#halt([], error)
    }
    if (this.#lifecycle.state !== 'halted') this.#lifecycle.frozen(record)
  }

  #halt(submissions: readonly Submission[], error: unknown): void {
    const cause = haltCause(error)
    this.#admission.settle(submissions, cause)
    this.#lifecycle.halt(cause)
  }
}

/**
 * The tree and its newest signed head. Both change only after the store has them. One `append` at a time; the caller sees to that.
 */
export class SignedTree {
  readonly #store: LogStore
  readonly #signer: HeadSigner
  readonly #clock: HeadClock
  #tree: Tree
  #head: SignedHead

  constructor(
    store: LogStore,
    signer: HeadSigner,
    clock: HeadClock,
    verified: { readonly tree: Tree; readonly head: SignedHead },
  ) {
    this.#store = store
    this.#signer = signer
    this.#clock = clock
    this.#tree = verified.tree
    this.#head = verified.head
  }

  /** The newest tree in the store. */
  get tree(): Tree {
    return this.#tree
  }

  /**
   * Appends leaves and signs the tree; without leaves, re-signs the same tree.
   *
   * @param final freezes the log: no leaves follow, and every later head has a final record, too
   * @returns the head that covers them. It is in the store but not in the head file yet, so it must not be shown
   * @throws SteleError `frozen` for leaves after a final head; `outcome_unknown` when the store failed. Then it is not known what
   *   is on disk, and the log must be reopened
   */
  async append(leaves: readonly PendingLeaf[], final = this.#head.final): Promise<SignedHead> {
    // Admission and lifecycle refuse these before; this check holds even if they are wrong.
    if (this.#head.final && leaves.length > 0) throw frozenError(this.#head.final)
    const from = this.#tree.size
    const { tree, tiles } = growTree(this.#tree, hashesOf(leaves))
    const timestampMs = this.#clock.nextTimestamp()
    const signed = await this.#signer.sign({ size: tree.size, root: tree.root, timestampMs })
    const head = final ? { ...signed, final } : signed
    const entries = leaves.map((leaf) => leaf.entry)

    // The signed head stays in this function until the store has it: a head that escaped but was not kept could contradict the
    // next one.
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
}

/**
 * Writes heads that are in the database to the head file. Owner of the head file. Heads that gather while one is synced are covered
 * by the newest of them, and only that one is written.
 */
class HeadFileWriter {
  readonly #file: HeadFile
  readonly #observer: LogObserver
  #waiting: { head: SignedHead; resolve: () => void; reject: (reason: unknown) => void }[] = []
  #running: Promise<void> | undefined
  /** After a failed write nothing more is written: the log has to be reopened. */
  #failure: unknown

  constructor(file: HeadFile, observer: LogObserver) {
    this.#file = file
    this.#observer = observer
  }

  /**
   * Called in the order of the commits; the calls resolve in that order.
   *
   * @returns once this head, or one that extends it, is in the head file
   */
  write(head: SignedHead): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#waiting.push({ head, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  /** Resolves when nothing is being written. */
  async drained(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const round = this.#waiting.splice(0)
      try {
        await this.#file.write(encodeHead(round.at(-1)!.head))
        this.#observer.synced('head')
        for (const { resolve } of round) resolve()
      } catch (error) {
        this.#failure = error
        for (const { reject } of [...round, ...this.#waiting.splice(0)]) reject(error)
      }
    }
    this.#running = undefined
  }
}

/** A commit that is not yet in the database and the head file. */
interface InFlightCommit {
  readonly submissions: readonly Submission[]
  readonly leaves: readonly PendingLeaf[]
  /** By the monotonic clock. */
  readonly beganMs: number
  /** Set once the commit is in the database; resolves when it is acknowledged. */
  finished: Promise<void> | undefined
}

/** The commits in flight, oldest first. */
class InFlightCommits {
  readonly #commits = new Set<InFlightCommit>()

  /** When the oldest submission in them was queued, milliseconds since 1970; Infinity without any. */
  get oldestMs(): number {
    return Math.min(...[...this.#commits].flatMap(({ submissions }) => submissions[0]?.queuedAtMs ?? []))
  }

  /** How long the oldest of them has been in flight; 0 without any. */
  get pendingMs(): number {
    const [oldest] = this.#commits
    return oldest ? performance.now() - oldest.beganMs : 0
  }

  begin(submissions: readonly Submission[], leaves = leavesOf(submissions)): InFlightCommit {
    const commit: InFlightCommit = { submissions, leaves, beganMs: performance.now(), finished: undefined }
    this.#commits.add(commit)
    return commit
  }

  end(commit: InFlightCommit): void {
    this.#commits.delete(commit)
  }
}

function leavesOf(submissions: readonly Submission[]): readonly PendingLeaf[] {
  if (submissions.length === 1) return submissions[0]!.leaves
  return submissions.flatMap(({ leaves }) => leaves)
}

/** What a log halts with; an error without a code is a bug. */
function haltCause(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `internal error while committing: ${message}`, { cause: error })
}

/** A write failed, and it is not known what it left on disk. */
function unknownOutcome(error: unknown): SteleError {
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError(
    'outcome_unknown',
    `the write failed and what it left on disk is unknown: ${message}. The entry may or may not be logged; ` +
      `sending it again is safe`,
    { cause: error },
  )
}
