import { SteleError } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import type { Tree } from '../tile/grow.ts'
import { already, endingOf, isFurtherMark, type Ending, type LastWords } from './ending.ts'
import type { FinalMark, SignedHead } from './head.ts'
import { Indexer } from './indexer.ts'
import { Intake, type Placement } from './intake.ts'
import { LeafFinder } from './leaf-finder.ts'
import { UNOBSERVED, type LogObserver } from './observer.ts'
import type { LogOptions, LogParts, LogStatus } from './options.ts'
import { Pool } from './pool.ts'
import type { TileReader } from './reader.ts'
import { frozenError, haltedBy, later, stopping, unknownOutcome } from './refusals.ts'
import { Sealer } from './sealer.ts'
import { Sequencer } from './sequencer.ts'
import type { LiveLeaf, Unit } from './unit.ts'

/** What a log was verified to hold when it was opened. */
export interface Verified {
  readonly tree: Tree
  readonly head: SignedHead
  readonly published: SignedHead
  /** The latest timestamp that is known to have been signed: later than the head's after some crashes. */
  readonly signedUntilMs: number
}

/** One commit on its way to both of its places. */
interface Step {
  readonly units: readonly Unit[]
  readonly leaves: readonly LiveLeaf[]
  /** By a clock that nobody sets. */
  readonly beganMs: number
}

/** What a writer is made of, beside the parts of its log. */
export interface WriterDeps {
  readonly parts: LogParts
  readonly options: LogOptions
  readonly verified: Verified
  /** Reads below the committed size; what it is asked for first comes after the writer is there. */
  readonly reader: TileReader
  /** Told of every head once it is in both of its places, in order. */
  readonly onHead: (head: SignedHead) => void
}

/**
 * The write path of one log, from bytes to a signed head in both of its places. Owner of what the log is doing, and of
 * its newest head.
 */
export class Writer {
  readonly #options: LogOptions
  readonly #onHead: (head: SignedHead) => void
  readonly #pool: Pool
  readonly #intake: Intake
  readonly #sequencer: Sequencer
  readonly #sealer: Sealer
  readonly #indexer: Indexer
  readonly #observer: LogObserver
  readonly #running: Promise<void>
  readonly #idleTimer: NodeJS.Timeout
  #state: LogStatus['state']
  #failure: SteleError | undefined
  /** The newest head that is in both of its places. */
  #integrated: SignedHead
  #commits = 0
  /** Commits that are on their way to the disk, oldest first. */
  readonly #onTheWay = new Set<Step>()
  #signAgain = false
  /** Somebody wants the log to end; what was admitted is committed first. */
  #ending: Ending | undefined
  /** Heads that were signed before this lack a key. */
  readonly #keysSinceMs: number
  /** Somebody has cosigned a larger tree of this log: nothing is signed any more. */
  #contradiction: SteleError | undefined
  /** Resolves with the reason if entries are ever refused for good; reads go on. */
  readonly halted: Promise<SteleError>
  #sayHalted!: (failure: SteleError) => void
  /** Resolves once it is known whether entries are taken: witnesses have confirmed the head, or it ended otherwise. */
  readonly settled: Promise<void>
  #saySettled!: () => void

  constructor({ parts, options, verified, reader, onHead }: WriterDeps) {
    this.#options = options
    this.#onHead = onHead
    this.#observer = parts.observer ?? UNOBSERVED
    this.#pool = new Pool(options.pool, options.nowMs)
    this.#sequencer = new Sequencer({ ...parts, ...verified, nowMs: options.nowMs })
    this.#sealer = new Sealer(parts.headFile, this.#observer)
    this.#integrated = verified.head
    this.#intake = new Intake({
      pool: this.#pool,
      finder: new LeafFinder(parts.index, (indexes) => reader.leafHashes(indexes)),
      allowDuplicates: options.allowDuplicates,
      observer: this.#observer,
    })
    this.#indexer = new Indexer({
      observer: this.#observer,
      index: parts.index,
      next: verified.tree.size,
      mayRepeat: options.allowDuplicates,
      forget: (leaves) => this.#intake.forget(leaves),
    })
    this.#keysSinceMs = parts.signer.sinceMs ?? 0
    this.#state = 'serving'
    const { final } = verified.head
    // What is frozen only signs what it has signed before: witnesses need not be asked first.
    const confirming = !final && parts.witnessing !== undefined
    if (final) this.#freezeWith(final)
    if (confirming) this.#confirmFirst()
    this.#signAgain = !confirming && this.#isOutdated()
    this.halted = new Promise((resolve) => (this.#sayHalted = resolve))
    this.settled = new Promise((resolve) => (this.#saySettled = resolve))
    if (!confirming) this.#saySettled()
    this.#idleTimer = setTimeout(() => this.#signIdleHead(), this.#idleForMs()).unref()
    this.#running = this.#run()
  }

  /** See `Intake.submit`. */
  submit(entries: readonly Uint8Array[], caller: string): Promise<Placement[]> {
    return this.#intake.submit(entries, caller)
  }

  /** The index of an integrated leaf, the lowest if there are several. */
  find(hash: Hash): Promise<number | undefined> {
    return this.#intake.find(hash)
  }

  /** The newest head that is on disk. */
  get integrated(): SignedHead {
    return this.#integrated
  }

  /** The newest committed tree. */
  get tree(): Tree {
    return this.#sequencer.tree
  }

  /** Why no entries are taken, or undefined while they are. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  get status(): Omit<LogStatus, 'unpublished'> {
    return {
      state: this.#state,
      reason: this.#failure?.message,
      queuedEntries: this.#pool.depth,
      queuedBytes: this.#pool.bytes,
      oldestWaitingMs: this.#oldestWaitingMs(),
      indexLag: this.#indexer.lag,
      liveLeaves: this.#intake.liveLeaves,
      commits: this.#commits,
    }
  }

  /** The witnesses have cosigned the head that the log was opened with. */
  confirmed(): void {
    if (this.#state !== 'confirming') return
    this.#state = 'serving'
    this.#saySettled()
    this.#signAgain = this.#isOutdated()
    this.#intake.accept()
    this.#pool.poke()
  }

  /** Somebody has cosigned a larger tree than this log has. */
  contradict(error: SteleError): void {
    this.#contradiction = error
    this.#pool.poke()
  }

  /** See `Log.freeze`. */
  async freeze(words: LastWords): Promise<SignedHead> {
    const { final } = this.#integrated
    if (this.#state === 'confirming' || this.#state === 'halted') throw this.#notNow()
    if (this.#state !== 'serving' && this.#state !== 'frozen') throw stopping()
    if (this.#ending) throw already('it is being frozen')
    if (final && !isFurtherMark(final, words)) return this.#integrated
    this.#ending = endingOf(words)
    // Not for good yet: until the mark is on disk, a crash leaves a log that takes entries.
    if (!final) this.#intake.refuse(later('the log is being frozen; nothing was logged'))
    this.#pool.poke()
    return this.#ending.done
  }

  /** Refuses new entries, commits and answers what was admitted. */
  async stop(): Promise<void> {
    this.#saySettled()
    if (this.#state !== 'halted') this.#state = 'closing'
    // A frozen log says so to the last.
    if (!this.#integrated.final) this.#intake.refuse(stopping())
    this.#pool.poke()
    await this.#running
    clearTimeout(this.#idleTimer)
    await this.#sealer.drained()
  }

  /** Brings the leaf index up to date, after `stop`. */
  drained(): Promise<void> {
    return this.#indexer.drained()
  }

  /** The files are closed. */
  closed(): void {
    this.#state = 'closed'
  }

  /**
   * The write loop: while one commit is on its way to the disk, the next one gathers in the pool, and the head of the
   * one before is sealed.
   */
  async #run(): Promise<void> {
    while (this.#state !== 'halted') {
      if (!this.#hasWork()) await this.#pool.whenFilled()
      const units = this.#pool.take()
      if (this.#contradiction) return this.#halt(units, this.#contradiction)
      if (this.#ending && this.#pool.depth === 0) await this.#end(this.#ending)
      else if (units.length > 0 || this.#signAgain) await this.#commit(units)
      if (this.#state === 'closing' && this.#pool.depth === 0) return
    }
  }

  #hasWork(): boolean {
    const canEnd = this.#ending !== undefined && this.#pool.depth === 0
    return this.#signAgain || canEnd || this.#contradiction !== undefined
  }

  /** The last entry and the mark are one commit: no crash leaves one without the other. */
  async #end(ending: Ending): Promise<void> {
    const { lastEntry, mark } = ending
    const leaves = lastEntry === undefined ? [] : [this.#intake.claimLast(lastEntry)]
    try {
      await this.#indexer.room()
      this.#signAgain = false
      this.#idleTimer.refresh()
      const step = { units: [], leaves, beganMs: performance.now() }
      const head = await this.#sequencer.step(leaves, mark)
      this.#observer.synced('database')
      await this.#finish(step, head)
    } catch (error) {
      this.#halt([], error)
    }
    if (this.#state === 'halted') return
    this.#ending = undefined
    this.#freezeWith(mark)
    ending.resolve(this.#integrated)
  }

  #freezeWith(mark: FinalMark): void {
    this.#intake.refuse(frozenError(mark))
    if (this.#state !== 'closing') this.#state = 'frozen'
  }

  async #commit(units: readonly Unit[]): Promise<void> {
    const leaves = units.flatMap((unit) => unit.leaves)
    const step = { units, leaves, beganMs: performance.now() }
    this.#onTheWay.add(step)
    try {
      await this.#indexer.room()
      this.#signAgain = false
      this.#idleTimer.refresh()
      const head = await this.#sequencer.step(leaves)
      this.#observer.synced('database')
      void this.#finish(step, head)
    } catch (error) {
      this.#onTheWay.delete(step)
      this.#halt(units, error)
    }
  }

  /**
   * Seals a committed head, and only then lets anybody know of it. The store comes first, so that after a crash
   * between the two the head file is the one that is behind; one that is ahead always means a rollback.
   */
  async #finish(step: Step, head: SignedHead): Promise<void> {
    const { units, leaves, beganMs } = step
    try {
      await this.#sealer.seal(head)
    } catch (error) {
      return this.#halt(units, unknownOutcome(error))
    } finally {
      this.#onTheWay.delete(step)
    }
    this.#observer.committed(leaves.length, performance.now() - beganMs)
    this.#commits++
    this.#integrated = head
    this.#onHead(head)
    this.#indexer.follow(leaves)
    this.#intake.settle(units)
  }

  /** No step follows one that failed: what is on disk has to be read back first. Reads go on. */
  #halt(units: readonly Unit[], error: unknown): void {
    const cause = haltedBy(error)
    this.#intake.settle(units, cause)
    if (this.#state === 'halted') return
    this.#state = 'halted'
    this.#failure = new SteleError('log_halted', `the log takes no entries: ${cause.message}`, { cause })
    this.#intake.halt(this.#failure)
    clearTimeout(this.#idleTimer)
    this.#ending?.reject(cause)
    this.#saySettled()
    this.#sayHalted(this.#failure)
    this.#pool.poke()
  }

  /**
   * A backup that was restored is consistent in itself. Witnesses that saw a newer head are the ones who can tell, so
   * nothing is signed before they were asked.
   */
  #confirmFirst(): void {
    this.#state = 'confirming'
    this.#intake.refuse(this.#notNow())
  }

  #signIdleHead(): void {
    if (this.#state !== 'serving' && this.#state !== 'frozen') return void this.#idleTimer.refresh()
    this.#signAgain = true
    this.#pool.poke()
  }

  #notNow(): SteleError {
    return this.#failure ?? later('the log takes no entries until its witnesses have confirmed its head')
  }

  /** The newest head was signed by the keys of another time. */
  #isOutdated(): boolean {
    return this.#integrated.timestampMs < this.#keysSinceMs
  }

  #oldestWaitingMs(): number {
    const begun = [...this.#onTheWay].flatMap(({ units }) => units[0]?.queuedAtMs ?? [])
    const oldestMs = Math.min(...begun, this.#pool.oldestMs ?? Infinity)
    return oldestMs === Infinity ? 0 : Math.max(0, this.#options.nowMs() - oldestMs)
  }

  #idleForMs(): number {
    // setTimeout takes at most 2^31-1 ms and would fire at once for more.
    return Math.min(this.#options.headIntervalMs, 2 ** 31 - 1)
  }
}
