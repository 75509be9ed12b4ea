import { SteleError } from '../errors.ts'
import type { Admission } from './admission.ts'
import type { FinalRecord, SignedHead } from './head.ts'
import type { HeadClock } from './signer.ts'

/**
 * What a log is doing.
 *
 * `confirming`: a log with witnesses takes no entries until they have cosigned the head it was opened with. A backup that was
 * restored is consistent in itself; only witnesses that saw a newer head can tell, so nothing is signed before they were asked.
 *
 * `frozen` and `halted` are final, except that a frozen log may halt, and that either may be closed.
 */
export type LifecycleState = 'confirming' | 'serving' | 'frozen' | 'halted' | 'closing' | 'closed'

/** How a log is to end. */
export interface FreezeRequest {
  /** URL of the log that takes over: http or https. */
  readonly successor?: string | undefined
  /** Committed together with the final record: 0 to 65,535 bytes. */
  readonly lastEntry?: Uint8Array | undefined
}

/** A freeze request that was accepted; what was admitted before is committed first. */
export interface Freezing {
  readonly record: FinalRecord
  readonly lastEntry: Uint8Array | undefined
  readonly resolve: () => void
  readonly reject: (reason: SteleError) => void
}

/**
 * The lifecycle state of one log, and what the sequencer is asked to do beside committing submissions: to freeze the log, to re-sign
 * its head, to stop. The only place that changes the state; each change tells admission what to answer, and wakes the sequencer.
 */
export class Lifecycle {
  readonly #admission: Admission
  readonly #clock: HeadClock
  #state: LifecycleState
  #failure: SteleError | undefined
  /** Of the newest head on disk, if the log is frozen. */
  #final: FinalRecord | undefined
  #freezing: Freezing | undefined
  #contradiction: SteleError | undefined
  /** From this time on, the head that the log was opened with has to be re-signed at once: milliseconds since 1970. */
  readonly #outdatedFromMs: number
  #reSignDue = false
  readonly #reSignTimer: NodeJS.Timeout
  /** For the head that the log was opened with, which is older than this process. */
  readonly #firstReSignTimer: NodeJS.Timeout
  #resolveHalted!: (failure: SteleError) => void
  #resolveStarted!: () => void
  /** Resolves with the reason when the log halts. */
  readonly halted: Promise<SteleError> = new Promise((resolve) => (this.#resolveHalted = resolve))
  /** Resolves when the log is not `confirming`, or no longer. */
  readonly started: Promise<void> = new Promise((resolve) => (this.#resolveStarted = resolve))

  /**
   * @param head the head that the log was opened with
   * @param options.keysSinceMs heads that were signed before this lack a signature
   */
  constructor(
    admission: Admission,
    clock: HeadClock,
    head: SignedHead,
    options: {
      readonly witnessed: boolean
      readonly headIntervalMs: number
      readonly keysSinceMs: number | undefined
    },
  ) {
    const { witnessed, headIntervalMs, keysSinceMs = 0 } = options
    this.#admission = admission
    this.#clock = clock
    this.#outdatedFromMs = head.timestampMs < keysSinceMs ? 0 : head.timestampMs + headIntervalMs
    this.#reSignTimer = timerOf(() => this.#reSign(), headIntervalMs)
    // The clock may have been set back since the head was signed: then a whole interval is waited.
    const ageMs = Math.max(0, clock.nowMs() - head.timestampMs)
    this.#firstReSignTimer = timerOf(() => this.#reSign(), Math.max(0, headIntervalMs - ageMs))
    // A frozen log only signs the tree that it has signed before, so its witnesses need not be asked first.
    this.#state = witnessed && !head.final ? 'confirming' : 'serving'
    if (this.#state === 'confirming') this.#admission.refuse(notConfirmed())
    else this.#start()
    if (head.final) this.frozen(head.final)
  }

  get state(): LifecycleState {
    return this.#state
  }

  /** Why the log has halted. */
  get failure(): SteleError | undefined {
    return this.#failure
  }

  /** Whether heads are signed in this state. */
  get signs(): boolean {
    return this.#state === 'serving' || this.#state === 'frozen'
  }

  /** A witness has cosigned a larger tree of this log, or another history: nothing may be signed any more. */
  get contradiction(): SteleError | undefined {
    return this.#contradiction
  }

  /** The freeze request that is to be carried out once all submissions are settled. */
  get freezing(): Freezing | undefined {
    return this.#freezing
  }

  /** Whether the newest head is to be re-signed although no entry came. */
  get reSignDue(): boolean {
    return this.#reSignDue
  }

  /** The witnesses have cosigned the head that the log was opened with, or the log goes on without their answer. */
  confirm(): void {
    if (this.#state !== 'confirming') return
    this.#state = 'serving'
    this.#admission.refuse(undefined)
    this.#start()
    this.#admission.wake()
  }

  /** See `contradiction`. The sequencer halts the log with it. */
  contradict(error: SteleError): void {
    this.#contradiction = error
    this.#admission.wake()
  }

  /** A head is about to be signed: the next re-signing is due an interval later. */
  signing(): void {
    this.#reSignDue = false
    clearTimeout(this.#firstReSignTimer)
    this.#reSignTimer.refresh()
  }

  /** See `Log.freeze`. Resolves once the final head is on disk. */
  async freeze(request: FreezeRequest): Promise<void> {
    this.#checkMayFreeze()
    if (this.#final && !changesFinalRecord(this.#final, request)) return
    const record = finalRecord(request.successor)
    const done = new Promise<void>((resolve, reject) => {
      this.#freezing = { record, lastEntry: request.lastEntry, resolve, reject }
    })
    // Not a `frozen` refusal yet: until the final record is on disk, a crash leaves a log that takes entries.
    if (!this.#final) this.#admission.refuse(later('the log is being frozen; nothing was logged'))
    this.#admission.wake()
    await done
  }

  /** A final head is on disk. */
  frozen(record: FinalRecord): void {
    this.#final = record
    this.#admission.refuse(frozenError(record))
    if (this.#state !== 'closing') this.#state = 'frozen'
    this.#freezing?.resolve()
    this.#freezing = undefined
  }

  /** Nothing can be signed for now. Nothing was signed, so the log need not be reopened: what was wanted may be asked for again. */
  postpone(early: SteleError): void {
    this.signing()
    if (!this.#freezing) return
    this.#freezing.reject(early)
    this.#freezing = undefined
    if (!this.#final && this.signs) this.#admission.refuse(undefined)
  }

  /** No commit may follow one that failed: what is on disk has to be read back first. Reads go on. */
  halt(cause: SteleError): void {
    if (this.#state === 'halted') return
    this.#state = 'halted'
    this.#failure = new SteleError('log_halted', `the log takes no entries: ${cause.message}`, { cause })
    this.#admission.halt(this.#failure)
    this.#stopTimers()
    this.#resolveStarted()
    this.#resolveHalted(this.#failure)
    this.#freezing?.reject(cause)
    this.#admission.wake()
  }

  /** Refuses new submissions. The sequencer stops once it has committed those that were admitted. */
  close(): void {
    if (this.#state !== 'halted') this.#state = 'closing'
    this.#resolveStarted()
    // While it is closing, a frozen log keeps answering `frozen` rather than `shutting_down`.
    if (!this.#final) this.#admission.refuse(stopping())
    this.#admission.wake()
  }

  /** The files are closed. */
  closed(): void {
    this.#stopTimers()
    this.#state = 'closed'
  }

  #start(): void {
    if (this.#clock.nowMs() >= this.#outdatedFromMs) this.#reSignDue = true
    this.#resolveStarted()
  }

  #reSign(): void {
    if (!this.signs || this.#clock.tooEarly()) return void this.#reSignTimer.refresh()
    this.#reSignDue = true
    this.#admission.wake()
  }

  #stopTimers(): void {
    clearTimeout(this.#firstReSignTimer)
    clearTimeout(this.#reSignTimer)
  }

  #checkMayFreeze(): void {
    if (this.#state === 'confirming') throw notConfirmed()
    if (this.#state === 'halted') throw this.#failure!
    if (!this.signs) throw stopping()
    const early = this.#clock.tooEarly()
    if (early) throw early
    if (this.#freezing) throw alreadyFrozen('it is being frozen')
  }
}

/** setTimeout takes at most 2^31-1 ms and would fire at once for more. */
function timerOf(ring: () => void, afterMs: number): NodeJS.Timeout {
  return setTimeout(ring, Math.min(afterMs, 2 ** 31 - 1)).unref()
}

const MAX_URL = 2000

/**
 * What the heads of a frozen log say of its successor: a URL that can be put into a header unchanged.
 *
 * @throws SteleError `usage`
 */
export function finalRecord(successor: string | undefined): FinalRecord {
  if (successor === undefined) return {}
  const isUrl =
    URL.canParse(successor) && /^https?:\/\/[!-;=?-~]+$/.test(successor) && successor.length <= MAX_URL
  if (isUrl) return { successor }
  throw new SteleError(
    'usage',
    `successor: expected an http(s) URL in ASCII of at most ${MAX_URL} characters`,
  )
}

/**
 * Whether a log that is frozen already gets another final record: its first successor.
 *
 * @throws SteleError `already_exists` if the request is not how the log ended
 */
export function changesFinalRecord(current: FinalRecord, { successor, lastEntry }: FreezeRequest): boolean {
  if (lastEntry !== undefined) throw alreadyFrozen('it is frozen already, and nothing can follow')
  if (successor === undefined || successor === current.successor) return false
  if (current.successor !== undefined)
    throw alreadyFrozen(`it is frozen already, with the successor ${current.successor}`)
  return true
}

/** Why a frozen log takes no entry. */
export function frozenError({ successor }: FinalRecord): SteleError {
  const next = successor === undefined ? 'it has no successor' : `its successor is ${successor}`
  return new SteleError(
    'frozen',
    `the log is frozen and takes no entries any more; ${next}. Nothing was logged`,
    { successor },
  )
}

function alreadyFrozen(message: string): SteleError {
  return new SteleError('already_exists', `freeze: ${message}; nothing was changed`)
}

function notConfirmed(): SteleError {
  return later('the log takes no entries until its witnesses have confirmed its head')
}

/** A transient refusal; the answer carries Retry-After. */
function later(message: string): SteleError {
  return new SteleError('log_halted', message, { retryAfterSeconds: 2 })
}

function stopping(): SteleError {
  return new SteleError('shutting_down', 'the log is stopping; nothing was logged', { retryAfterSeconds: 5 })
}
