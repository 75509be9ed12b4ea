import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import type { Hash } from '../merkle/hash.ts'
import { parseNote, verifyLines, type NoteSignature } from '../note/note.ts'
import type { PolicyWitness } from '../policy/policy.ts'
import { formatAddCheckpoint } from '../witness/request.ts'

/** An answer holds a few lines of signatures, the longest of 3.3 kB, or a size. */
const MAX_ANSWER_BYTES = 64 * 1024
/** A witness that says it is behind is believed this often for one head. */
const MAX_TRIES = 3

/** Asks one witness for cosignatures (c2sp.org/tlog-witness). Owner of what size it last cosigned. */
export class WitnessClient {
  readonly witness: PolicyWitness
  readonly #url: string
  readonly #fetch: typeof fetch
  readonly #timeoutMs: number
  #lastSize = 0

  constructor(witness: PolicyWitness, options: { fetch: typeof fetch; timeoutMs: number }) {
    if (witness.url === undefined) {
      throw new SteleError('usage', `policy: the witness ${excerpt(witness.name)} needs a URL to be asked at`)
    }
    this.witness = witness
    this.#url = `${witness.url.replace(/\/$/, '')}/add-checkpoint`
    this.#fetch = options.fetch
    this.#timeoutMs = options.timeoutMs
  }

  /**
   * Has a head cosigned.
   *
   * @returns the witness's line, verified
   * @throws SteleError `rolled_back` if the witness says it has cosigned a larger tree of this log; `fork` if it refuses the
   *   proof that this tree extends the one it has cosigned; `unreachable`, `unexpected_answer`, `bad_signature` and the like for whatever else is no cosignature
   */
  async cosign(head: SignedHead, prove: (oldSize: number) => Promise<Hash[]>): Promise<NoteSignature> {
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
  #sizeIn({ status, type, text }: WitnessAnswer, head: SignedHead): number {
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
      return { status: answer.status, type: answer.headers.get('content-type') ?? '', text }
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
