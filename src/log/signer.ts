import { SteleError } from '../errors.ts'
import type { Head, SignedHead } from './head.ts'

/** Signs the heads of one log, with its private keys. It is only handed heads that extend the last stored one. */
export interface HeadSigner {
  /**
   * When its keys changed last, in milliseconds since 1970: it signs no head of an earlier time, and a head that was signed
   * before then is re-signed when the log is opened. Default: they never changed.
   */
  readonly sinceMs?: number
  sign(head: Head): Promise<SignedHead>
  /**
   * Checks that the head has all the signatures that a head of its time must have, by this log's keys, over this size, root
   * and origin.
   *
   * @throws SteleError `bad_signature`, `untrusted_signer`, `wrong_origin`, `malformed`
   */
  verify(head: SignedHead): void
}

/** Clocks that are kept by time servers are never this far apart. */
export const MAX_AHEAD_MS = 300_000

/**
 * The timestamps of a log's heads. Each is later than the one before it, even if the clock was set back (RFC 6962 section 3.5), and
 * none is more than `maxAheadMs` ahead of the time. Owner of the latest timestamp that was signed.
 */
export class HeadClock {
  readonly #nowMs: () => number
  readonly #maxAheadMs: number
  readonly #witnesses: { readonly timeMs?: number | undefined } | undefined
  #lastMs: number

  /**
   * @param lastMs the latest timestamp that is known to have been signed, milliseconds since 1970
   * @param witnesses `timeMs` is the time by their clocks, which counts where it is later than this machine's
   */
  constructor(
    lastMs: number,
    options: { readonly nowMs: () => number; readonly maxAheadMs?: number },
    witnesses?: { readonly timeMs?: number | undefined },
  ) {
    this.#lastMs = lastMs
    this.#nowMs = options.nowMs
    this.#maxAheadMs = options.maxAheadMs ?? MAX_AHEAD_MS
    this.#witnesses = witnesses
  }

  /** Milliseconds since 1970. */
  nowMs(): number {
    return this.#nowMs()
  }

  /** The timestamp of the next head; the one after it will be later. */
  nextTimestamp(): number {
    this.#lastMs = Math.max(this.#nowMs(), this.#lastMs + 1)
    return this.#lastMs
  }

  /**
   * Why no head can be signed now, or undefined. The newest head is dated in the future, after the clock was ahead once or was
   * set back, and the next one would be dated even later.
   */
  tooEarly(): SteleError | undefined {
    const nowMs = this.#nowMs()
    if (this.#lastMs < nowMs) return undefined
    const soundMs = Math.max(nowMs, this.#witnesses?.timeMs ?? 0)
    if (this.#lastMs < soundMs + this.#maxAheadMs) return undefined
    return tooEarlyError(this.#lastMs, soundMs, this.#maxAheadMs)
  }
}

/** @param soundMs the latest time by any trusted clock: this machine's or the witnesses' */
function tooEarlyError(lastMs: number, soundMs: number, maxAheadMs: number): SteleError {
  const time = (ms: number): string => new Date(ms).toISOString()
  const waitMs = lastMs - soundMs - maxAheadMs
  return new SteleError(
    'log_halted',
    `the newest head of the log is dated ${time(lastMs)}, and it is ${time(soundMs)} by the clock of this machine, or by those of ` +
      `its witnesses where they are later: nothing is signed more than ${maxAheadMs / 1000} s ahead, and nothing was logged. Set ` +
      `the clock, if that is wrong; otherwise the log goes on by itself at ${time(lastMs - maxAheadMs)}, or at once with a larger ` +
      `max-head-ahead-seconds`,
    { retryAfterSeconds: Math.min(60, Math.max(1, Math.ceil(waitMs / 1000))) },
  )
}
