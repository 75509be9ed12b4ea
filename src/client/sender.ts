import { hasCode, SteleError } from '../errors.ts'
import { parseAllowsDuplicates } from './answers.ts'
import { isPassing, retrying, wasRefusedForNow, type RetryLimits } from './retry.ts'
import type { Answer, Ask, Transport } from './transport.ts'

const MAX_LIST_BYTES = 16 * 1024 * 1024

/** One thing to be logged. */
export interface Submission {
  /** Below the log's prefix. */
  readonly path: string
  readonly contentType: string
  readonly body: Uint8Array
  readonly maxAnswerBytes: number
  readonly limits: RetryLimits
  /** Sends again also when the first time may have worked; by default only to logs without duplicates. */
  readonly repeatInDoubt?: boolean | undefined
}

/** Sends entries, with retries, but never so that they could be logged twice unless the caller allows it. */
export class Sender {
  readonly #transport: Transport
  readonly #prefix: string
  readonly #origin: string
  #allowsDuplicates: boolean | undefined

  /** @param prefix the log's URLs begin with it; ends with a slash */
  constructor(transport: Transport, prefix: string, origin: string) {
    this.#transport = transport
    this.#prefix = prefix
    this.#origin = origin
  }

  /**
   * @returns the answer, of status 200 or 202
   * @throws SteleError the log's refusal; `outcome_unknown` or `unreachable` when the entries may have been logged:
   *   a refusal that follows such a doubt does not settle it
   */
  async send(submission: Submission): Promise<Answer> {
    const { path, limits } = submission
    const endMs = this.#transport.clock.nowMs() + limits.deadlineMs
    let doubt: SteleError | undefined
    try {
      return await retrying(
        this.#transport.clock,
        limits,
        (error) => wasRefusedForNow(error) || (isInDoubt(error) && this.#mayRepeat(submission, endMs)),
        async (timeoutMs) => {
          try {
            return await this.#transport.ask(this.#prefix + path, toAsk(submission, timeoutMs))
          } catch (error) {
            if (isInDoubt(error)) doubt = error
            throw error
          }
        },
      )
    } catch (error) {
      if (!doubt || doubt === error || !(error instanceof SteleError)) throw error
      throw new SteleError('outcome_unknown', `${doubt.message}; trying again gave: ${error.message}`, {
        cause: error,
      })
    }
  }

  /**
   * True if the log says that it recognises duplicates: sending entries again then cannot log them twice. False if the
   * log is not listed or did not answer, so that entries are not sent again.
   */
  async recognisesDuplicates(limits: RetryLimits): Promise<boolean> {
    this.#allowsDuplicates ??= await this.#askDuplicates(limits)
    return this.#allowsDuplicates === false
  }

  async #mayRepeat({ repeatInDoubt, limits }: Submission, endMs: number): Promise<boolean> {
    if (repeatInDoubt !== undefined) return repeatInDoubt
    const deadlineMs = Math.max(1, endMs - this.#transport.clock.nowMs())
    return this.recognisesDuplicates({ ...limits, deadlineMs })
  }

  async #askDuplicates(limits: RetryLimits): Promise<boolean | undefined> {
    // The list of logs is at the root of the instance, two steps above the log.
    const root = /^(.*\/)logs\/[^/]+\/$/.exec(this.#prefix)?.[1]
    if (root === undefined) return undefined
    const { signal } = limits
    try {
      const answer = await retrying(this.#transport.clock, limits, isPassing, (timeoutMs) =>
        this.#transport.ask(`${root}v1/logs`, { maxBytes: MAX_LIST_BYTES, timeoutMs, signal }),
      )
      return parseAllowsDuplicates(answer.body, this.#origin)
    } catch (error) {
      if (error instanceof SteleError) return undefined
      throw error
    }
  }
}

/** Failures that leave open whether the log has what was sent. */
function isInDoubt(error: unknown): error is SteleError {
  return hasCode(error, 'unreachable', 'outcome_unknown')
}

function toAsk({ contentType, body, maxAnswerBytes, limits }: Submission, timeoutMs: number): Ask {
  return {
    method: 'POST',
    headers: { 'content-type': contentType, accept: 'application/json' },
    body,
    maxBytes: maxAnswerBytes,
    expect: [200, 202],
    timeoutMs,
    signal: limits.signal,
  }
}
