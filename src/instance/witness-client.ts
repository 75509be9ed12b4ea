import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { parseRetryAfter } from '../client/problem.ts'
import { SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import type { Hash } from '../merkle/hash.ts'
import { parseNote, verifyLines, type NoteSignature } from '../note/note.ts'
import type { PolicyWitness } from '../policy/policy.ts'
import { formatAddCheckpoint } from '../note/add-checkpoint.ts'

/** An answer holds a few lines of signatures, the longest of 3.3 kB, or a size. */
const MAX_ANSWER_BYTES = 64 * 1024
/** A witness that says it is behind is believed this often for one head. */
const MAX_TRIES = 3
/** No witness can ask for more than this: a mistaken header must not cost a log its quorum for a day. */
const LONGEST_PATIENCE_SECONDS = 300

/** How a witness is asked. */
export interface WitnessClientOptions {
  readonly fetch: typeof fetch
  /** For each request. */
  readonly timeoutMs: number
  /** Milliseconds since 1970. Default: the clock of the platform. */
  readonly nowMs?: (() => number) | undefined
}

/**
 * Asks one witness for cosignatures (c2sp.org/tlog-witness). Owner of what size it last cosigned, and of when it asked to
 * be left alone until.
 */
export class WitnessClient {
  readonly witness: PolicyWitness
  readonly #url: string
  readonly #fetch: typeof fetch
  readonly #timeoutMs: number
  readonly #nowMs: () => number
  #lastSize = 0
  #notBeforeMs = 0
  /** What it said when it asked for patience. */
  #refusal: SteleError | undefined

  constructor(witness: PolicyWitness, options: WitnessClientOptions) {
    if (witness.url === undefined) {
      throw new SteleError('usage', `policy: the witness ${excerpt(witness.name)} needs a URL to be asked at`)
    }
    this.witness = witness
    this.#url = `${witness.url.replace(/\/$/, '')}/add-checkpoint`
    this.#fetch = options.fetch
    this.#timeoutMs = options.timeoutMs
    this.#nowMs = options.nowMs ?? (() => Date.now())
  }

  /**
   * Has a head cosigned.
   *
   * @returns the witness's line, verified
   * @throws SteleError `rolled_back` if the witness says it has cosigned a larger tree of this log; `fork` if it refuses the
   *   proof that this tree extends the one it has cosigned; `rate_limited` (429), `overloaded` (503), also without asking
   *   it while the time that it asked for (`Retry-After`, at most 300 s) is not over; `unreachable`, `unexpected_answer`,
   *   `bad_signature` and the like for other answers that are no cosignature
   */
  async cosign(head: SignedHead, prove: (oldSize: number) => Promise<Hash[]>): Promise<NoteSignature> {
    if (this.#refusal && this.#nowMs() < this.#notBeforeMs) throw this.#refusal
    this.#refusal = undefined
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // A smaller head than it has cosigned is never sent, so this is where a witness stands that was asked before.
      const answer = await this.#post(
        formatAddCheckpoint(this.#lastSize, await prove(this.#lastSize), head.checkpoint),
      )
      if (answer.status === 200) {
        const line = this.#lineOf(head.checkpoint, answer.text)
        this.#lastSize = head.size
        return line
      }
      this.#lastSize = this.#sizeIn(answer, head)
    }
    throw this.#fault('unexpected_answer', `it named ${MAX_TRIES} different sizes for one head`)
  }

  /** Keeps the one line that verifies with the witness's own key, whatever else came along. */
  #lineOf(checkpoint: string, answer: string): NoteSignature {
    const { signatures } = verifyLines(parseNote(checkpoint + answer), [this.witness.key])
    const [line] = signatures
    if (!line) throw this.#fault('untrusted_signer', 'its answer holds no line by its key')
    return line
  }

  /** The size in a 409. */
  #sizeIn({ status, type, text, retryAfter }: WitnessAnswer, head: SignedHead): number {
    if (status === 429 || status === 503) throw this.#patience(status, text, retryAfter)
    if (status === 422) {
      throw this.#fault(
        'fork',
        `it has cosigned size ${this.#lastSize}, and does not accept the proof that size ${head.size} extends it: it ` +
          `has seen another history of this log`,
      )
    }
    if (status !== 409 || type !== 'text/x.tlog.size') {
      throw this.#fault('unexpected_answer', `expected 200 or 409, got ${status} ${excerpt(text.trim())}`)
    }
    const size = parseSize(text.replace(/\n$/, ''), `witness ${this.witness.name}: size`)
    if (size > head.size) {
      throw this.#fault(
        'rolled_back',
        `it has cosigned size ${size} of this log, whose newest head is ${head.size}: the log was rolled back, or ` +
          `has a second writer`,
      )
    }
    return size
  }

  /** A witness that is asked again and again while it has too much to do would have ever more of it. */
  #patience(status: 429 | 503, text: string, retryAfter: string | null): SteleError {
    const nowMs = this.#nowMs()
    const asked = parseRetryAfter(retryAfter, nowMs) ?? 0
    const retryAfterSeconds = Math.min(asked, LONGEST_PATIENCE_SECONDS)
    this.#notBeforeMs = nowMs + retryAfterSeconds * 1000
    this.#refusal = new SteleError(
      status === 429 ? 'rate_limited' : 'overloaded',
      `witness ${this.witness.name} at ${this.#url}: status ${status} ${excerpt(text.trim())}` +
        (asked > 0 ? `; it is asked again in ${Math.ceil(retryAfterSeconds)} s` : ''),
      { retryAfterSeconds },
    )
    return this.#refusal
  }

  async #post(body: string): Promise<WitnessAnswer> {
    try {
      const answer = await this.#fetch(this.#url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        redirect: 'error',
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
      const text = decodeUtf8(await readBounded(answer), `witness ${this.witness.name}`)
      const { status, headers } = answer
      return { status, type: headers.get('content-type') ?? '', text, retryAfter: headers.get('retry-after') }
    } catch (error) {
      if (error instanceof SteleError) throw error
      throw this.#fault('unreachable', (error as Error).message, error)
    }
  }

  #fault(
    code: 'unreachable' | 'unexpected_answer' | 'untrusted_signer' | 'rolled_back' | 'fork',
    message: string,
    cause?: unknown,
  ): SteleError {
    return new SteleError(code, `witness ${this.witness.name} at ${this.#url}: ${message}`, { cause })
  }
}

interface WitnessAnswer {
  readonly status: number
  readonly type: string
  readonly text: string
  readonly retryAfter: string | null
}

async function readBounded(answer: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += (chunk as Uint8Array).length
    if (bytes > MAX_ANSWER_BYTES) {
      throw new SteleError(
        'unexpected_answer',
        `witness: expected at most ${MAX_ANSWER_BYTES} bytes, got more`,
      )
    }
    chunks.push(chunk as Uint8Array)
  }
  return Buffer.concat(chunks)
}
