import type { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import type { Tree } from '../tile/grow.ts'
import { Committer } from './committer.ts'
import { already, endingOf, isFurtherMark, type Ending, type LastWords } from './ending.ts'
import type { FinalMark, SignedHead } from './head.ts'
import { IdleHead } from './idle-head.ts'
import type { Placement } from './intake.ts'
import { MAX_AHEAD_MS, type LogStatus } from './options.ts'
import type { HeadCosigner } from './publisher.ts'
import { frozenError, haltedBy, later, stopping, tooEarly } from './refusals.ts'
import { Standing } from './standing.ts'
import type { Unit } from './unit.ts'
import { writerParts, type WriterDeps, type WriterParts } from './writer-parts.ts'

/** The write path of one log, from bytes to a signed head in both of its places: when to commit what. Owner of how the log ends. */
export class Writer {
  readonly #nowMs: () => number
  readonly #parts: WriterParts
  readonly #committer: Committer
  readonly #standing: Standing
  readonly #idleHead: IdleHead
  readonly #running: Promise<void>
  /** Somebody wants the log to end; what was admitted is committed first. */
  #ending: Ending | undefined
  /** Heads that were signed before this lack a key. */
  readonly #keysSinceMs: number
  readonly #headIntervalMs: number
  readonly #allowDuplicates: boolean
  readonly #maxAheadMs: number
  readonly #cosigner: HeadCosigner | undefined
  /** Somebody has cosigned a larger tree of this log: nothing is signed any more. */
  #contradiction: SteleError | undefined

  constructor(deps: WriterDeps) {
    const { parts, options, verified } = deps
    this.#nowMs = options.nowMs
    this.#allowDuplicates = options.allowDuplicates
    this.#maxAheadMs = options.maxAheadMs ?? MAX_AHEAD_MS
    this.#cosigner = parts.witnessing?.cosigner
    this.#parts = writerParts(deps, (failure) => this.#halt([], failure))
    const { onHead } = deps
    const { intake } = this.#parts
    this.#committer = new Committer(
      this.#parts,
      {
        onHead,
        signing: () => this.#idleHead.signing(),
        settle: (units) => intake.settle(units),
        fail: (units, error) => this.#halt(units, error),
      },
      verified.head,
    )
    this.#keysSinceMs = parts.signer.sinceMs ?? 0
    const { final } = verified.head
    // What is frozen only signs what it has signed before: witnesses need not be asked first.
    const confirming = !final && parts.witnessing !== undefined
    this.#standing = new Standing(confirming)
    if (final) this.#freezeWith(final)
    // A backup that was restored is consistent in itself. Witnesses that saw a newer head are the ones who can tell, so
    // nothing is signed before they were asked.
    if (confirming) this.#parts.intake.refuse(this.#notNow())
    this.#headIntervalMs = options.headIntervalMs
    const firstMs = Math.max(0, options.headIntervalMs - Math.max(0, this.#headAgeMs()))
    this.#idleHead = new IdleHead(options.headIntervalMs, firstMs, {
      maySign: () => this.#standing.signs && !this.#tooEarly(),
      due: () => this.#parts.pool.poke(),
    })
    if (!confirming && this.#isOutdated()) this.#idleHead.ask()
    this.#running = this.#run()
  }

  /** See `Intake.submit`. */
  submit(entries: readonly Uint8Array[], caller: string): Promise<Placement[]> {
    const early = this.#standing.state === 'serving' ? this.#tooEarly() : undefined
    if (early) {
      this.#parts.observer.refused(early.code)
      return Promise.reject(early)
    }
    return this.#parts.intake.submit(entries, caller)
  }

  /** The index of an integrated leaf, the lowest if there are several. */
  find(hash: Hash): Promise<number | undefined> {
    return this.#parts.intake.find(hash)
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#committer.integrated
  }

  /** The newest committed tree. */
  get tree(): Tree {
    return this.#committer.tree
  }

  /** See `Standing`. */
  get halted(): Promise<SteleError> {
    return this.#standing.halted
  }

  /** See `Standing`. */
  get settled(): Promise<void> {
    return this.#standing.settled
  }

  /** Why no entries are taken, or undefined while they are. */
  get failure(): SteleError | undefined {
    return this.#standing.failure
  }

  get status(): Omit<LogStatus, 'unpublished'> {
    const { state, failure } = this.#standing
    const early = this.#standing.signs ? this.#tooEarly() : undefined
    const behind = state === 'serving' && !this.#allowDuplicates ? this.#parts.indexer.behind : undefined
    return {
      state: state !== 'serving' ? state : early ? 'halted' : behind ? 'indexing' : state,
      reason: (failure ?? early ?? behind)?.message,
      queuedEntries: this.#parts.pool.depth,
      queuedBytes: this.#parts.pool.bytes,
      oldestWaitingMs: this.#oldestWaitingMs(),
      writePendingMs: this.#committer.pendingMs,
      indexLag: this.#parts.indexer.lag,
      liveLeaves: this.#parts.intake.liveLeaves,
      commits: this.#committer.committed,
    }
  }

  /** The witnesses have cosigned the head that the log was opened with, or the log goes on without their answer. */
  confirmed(): void {
    if (!this.#standing.confirm()) return
    if (this.#isOutdated()) this.#idleHead.ask()
    this.#parts.intake.accept()
    this.#parts.pool.poke()
  }

  /** Somebody has cosigned a larger tree than this log has. */
  contradict(error: SteleError): void {
    this.#contradiction = error
    this.#parts.pool.poke()
  }

  /** See `Log.freeze`. */
  async freeze(words: LastWords): Promise<SignedHead> {
    const { final } = this.#committer.integrated
    const { state, signs } = this.#standing
    if (state === 'confirming' || state === 'halted') throw this.#notNow()
    if (!signs) throw stopping()
    const early = this.#tooEarly()
    if (early) throw early
    if (this.#ending) throw already('it is being frozen')
    if (final && !isFurtherMark(final, words)) return this.#committer.integrated
    this.#ending = endingOf(words)
    // Not for good yet: until the mark is on disk, a crash leaves a log that takes entries.
    if (!final) this.#parts.intake.refuse(later('the log is being frozen; nothing was logged'))
    this.#parts.pool.poke()
    return this.#ending.done
  }

  /** Refuses new entries, commits and answers what was admitted. */
  async stop(): Promise<void> {
    this.#standing.closing()
    // A frozen log says so to the last.
    if (!this.#committer.integrated.final) this.#parts.intake.refuse(stopping())
    this.#parts.pool.poke()
    await this.#running
    this.#idleHead.stop()
    await this.#parts.sealer.drained()
  }

  /** Brings the leaf index up to date, after `stop`. */
  drained(): Promise<void> {
    return this.#parts.indexer.drained()
  }

  /** The files are closed. */
  closed(): void {
    this.#standing.closed()
  }

  /**
   * The write loop: while one commit is on its way to the disk, the next one gathers in the pool, and the head of the
   * one before is sealed.
   */
  async #run(): Promise<void> {
    while (this.#standing.state !== 'halted') {
      if (!this.#hasWork()) await this.#parts.pool.whenFilled()
      const units = this.#parts.pool.take()
      if (this.#contradiction) return this.#halt(units, this.#contradiction)
      const early = this.#hasWork() || units.length > 0 ? this.#tooEarly() : undefined
      if (early) this.#putOff(units, early)
      else if (this.#ending && this.#parts.pool.depth === 0) await this.#end(this.#ending)
      else if (units.length > 0 || this.#idleHead.isDue) await this.#commit(units)
      if (this.#standing.state === 'closing' && this.#parts.pool.depth === 0) return
    }
  }

  #hasWork(): boolean {
    const canEnd = this.#ending !== undefined && this.#parts.pool.depth === 0
    return this.#idleHead.isDue || canEnd || this.#contradiction !== undefined
  }

  async #end(ending: Ending): Promise<void> {
    const { lastEntry, mark } = ending
    const leaves = lastEntry === undefined ? [] : [this.#parts.intake.claimLast(lastEntry)]
    try {
      const { sealed } = await this.#committer.commit([], leaves, mark)
      await sealed
    } catch (error) {
      this.#halt([], error)
    }
    if (this.#standing.state === 'halted') return
    this.#ending = undefined
    this.#freezeWith(mark)
    ending.resolve(this.#committer.integrated)
  }

  /** Its head is sealed while the next one is on its way. */
  async #commit(units: readonly Unit[]): Promise<void> {
    const leaves = units.flatMap((unit) => unit.leaves)
    void (await this.#committer.commit(units, leaves)).sealed
  }

  /** Nothing of it was signed, so that nothing has to be read back. */
  #putOff(units: readonly Unit[], early: SteleError): void {
    this.#parts.intake.settle(units, early)
    this.#idleHead.signing()
    if (!this.#ending) return
    this.#ending.reject(early)
    this.#ending = undefined
    if (!this.#committer.integrated.final && this.#standing.signs) this.#parts.intake.accept()
  }

  /** Why nothing can be signed at this time. */
  #tooEarly(): SteleError | undefined {
    const { lastMs } = this.#parts.sequencer
    const nowMs = this.#nowMs()
    if (lastMs < nowMs) return undefined
    const soundMs = Math.max(nowMs, this.#cosigner?.timeMs ?? 0)
    return lastMs < soundMs + this.#maxAheadMs ? undefined : tooEarly(lastMs, soundMs, this.#maxAheadMs)
  }

  #freezeWith(mark: FinalMark): void {
    this.#parts.intake.refuse(frozenError(mark))
    this.#standing.freeze()
  }

  /** No step follows one that failed: what is on disk has to be read back first. Reads go on. */
  #halt(units: readonly Unit[], error: unknown): void {
    const cause = haltedBy(error)
    this.#parts.intake.settle(units, cause)
    const failure = this.#standing.halt(cause)
    if (!failure) return
    this.#parts.intake.halt(failure)
    this.#idleHead.stop()
    this.#ending?.reject(cause)
    this.#parts.pool.poke()
  }

  #notNow(): SteleError {
    return (
      this.#standing.failure ?? later('the log takes no entries until its witnesses have confirmed its head')
    )
  }

  /** The newest head was signed by the keys of another time, or the next one was due while nothing could be signed. */
  #isOutdated(): boolean {
    const { timestampMs } = this.#committer.integrated
    return timestampMs < this.#keysSinceMs || this.#headAgeMs() >= this.#headIntervalMs
  }

  /** Negative for a head from the future. */
  #headAgeMs(): number {
    return this.#nowMs() - this.#committer.integrated.timestampMs
  }

  #oldestWaitingMs(): number {
    const oldestMs = Math.min(this.#committer.oldestMs, this.#parts.pool.oldestMs ?? Infinity)
    return oldestMs === Infinity ? 0 : Math.max(0, this.#nowMs() - oldestMs)
  }
}
