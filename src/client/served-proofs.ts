import { hasCode } from '../errors.ts'
import type { Hash } from '../merkle/hash.ts'
import { parseConsistencyAnswer } from './answers.ts'
import type { LogFiles } from './http-files.ts'
import { isPassing, retrying, type RetryLimits } from './retry.ts'
import type { Transport } from './transport.ts'

/** A proof between sizes below 2^53 has at most 54 hashes. */
const MAX_ANSWER_BYTES = 16 * 1024

/** Asks the log for the consistency proof between two sizes. It is unverified: the caller checks it. */
export type AskProof = (oldSize: number, newSize: number) => Promise<Hash[]>

/**
 * Consistency proofs as a log serves them (`v1/proofs/consistency`), for callers that may not read its leaf hashes and
 * so cannot make them from tiles. Logs of other programs have no such route, and no private entries.
 *
 * @param prefix the log's URLs begin with it; ends with a slash
 */
export function askConsistency(prefix: string, transport: Transport, limits: RetryLimits): AskProof {
  return async (oldSize, newSize) => {
    const url = `${prefix}v1/proofs/consistency?old=${oldSize}&new=${newSize}`
    const { body } = await retrying(transport.clock, limits, isPassing, (timeoutMs) =>
      transport.ask(url, { maxBytes: MAX_ANSWER_BYTES, timeoutMs, signal: limits.signal }),
    )
    return parseConsistencyAnswer(body, url)
  }
}

/** True if a log refused to show something, by the caller's credentials or for want of them. */
export function isDenied(error: unknown): boolean {
  return hasCode(error, 'unauthenticated', 'forbidden')
}

/**
 * The files of a log. Owner of the decision whether they include leaf hashes (level-0 tiles): the log's latest answer
 * to a request for one decides.
 */
export class LeafAccess implements LogFiles {
  readonly #files: LogFiles
  #refused: boolean | undefined

  constructor(files: LogFiles) {
    this.#files = files
  }

  /** True if the log refused leaf hashes to this caller, false if it gave some, undefined before it was asked. */
  get refused(): boolean | undefined {
    return this.#refused
  }

  checkpoint(): Promise<string> {
    return this.#files.checkpoint()
  }

  async tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    try {
      const bytes = await this.#files.tile(level, index, width)
      if (level === 0 && bytes !== undefined) this.#refused = false
      return bytes
    } catch (error) {
      if (level === 0 && isDenied(error)) this.#refused = true
      throw error
    }
  }

  bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    return this.#files.bundle(index, width)
  }

  /** Asks for one level-0 tile, unless the log has been asked already. */
  async findOut(): Promise<boolean> {
    if (this.#refused === undefined) {
      await this.tile(0, 0, 1).catch((error: unknown) => {
        if (!isDenied(error)) throw error
      })
    }
    // An empty log has no tile; what it does not refuse it will show.
    return (this.#refused ??= false)
  }
}
