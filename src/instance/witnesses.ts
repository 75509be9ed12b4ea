import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { parseRetryAfter } from '../client/problem.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import type { HeadCosigner } from '../log/publisher.ts'
import type { Hash } from '../merkle/hash.ts'
import { formatAddCheckpoint } from '../note/add-checkpoint.ts'
import { parseCosignature } from '../note/cosignature.ts'
import { isCosignerKeyType } from '../note/key-id.ts'
import { formatNote, type NoteSignature, parseNote, verifyLines } from '../note/note.ts'
import type { Policy, PolicyWitness } from '../policy/policy.ts'
import { describeMissing, evaluateQuorum, type Quorum } from '../policy/quorum.ts'

/** Events of witnesses, for the server's own log. */
export interface WitnessEvents {
  cosigned(witness: string, tookMs: number): void
  failed(witness: string, failure: SteleError): void
  /** A head was published without a quorum, as configured. */
  publishedWithoutQuorum(reason: SteleError): void
}

export interface WitnessOptions extends WitnessClientOptions {
  /** Fail open: publish with the cosignatures that there are. */
  readonly withoutQuorum: boolean
  /**
   * True: a witness that refuses the consistency proof stops the log. Default: it only gives no cosignature, which is
   * enough where no entry is admitted before the quorum has confirmed the head.
   */
  readonly forkStops?: boolean
  readonly events: WitnessEvents
}

/**
 * Asks the witnesses of a policy, all at once, and returns as soon as the quorum is met. Later answers are dropped;
 * missing ones are requested again with the next head.
 */
export class Witnesses implements HeadCosigner {
  readonly #policy: Policy
  readonly #clients: readonly WitnessClient[]
  readonly #options: WitnessOptions
  /** A contradiction reported after the quorum was met. It keeps the next head from being published. */
  #contradiction: SteleError | undefined
  /** When each witness last cosigned, by its own clock, in seconds since 1970. */
  readonly #times = new Map<WitnessClient, number>()
  /** The previous round: a witness gets one request at a time. */
  #lastRound: Promise<unknown> = Promise.resolve()

  /** @throws SteleError `usage` for a witness without a URL */
  constructor(policy: Policy, options: WitnessOptions) {
    this.#policy = policy
    this.#clients = policy.witnesses.map((witness) => new WitnessClient(witness, options))
    this.#options = options
  }

  /** The lower one of two in the middle: one witness whose clock is ahead does not move it beyond the others. */
  get timeMs(): number | undefined {
    const times = [...this.#times.values()].toSorted((a, b) => a - b)
    const median = times[Math.floor((times.length - 1) / 2)]
    return median === undefined ? undefined : median * 1000
  }

  async cosign(head: SignedHead, prove: (oldSize: number) => Promise<Hash[]>): Promise<string> {
    await this.#lastRound
    if (this.#contradiction) throw this.#contradiction
    const lines = new Map<WitnessClient, NoteSignature>()
    const quorum = (): Quorum =>
      evaluateQuorum(
        this.#policy,
        [...lines.keys()].map(({ witness }) => witness.key),
      )
    if (quorum().met) return head.checkpoint

    return new Promise((resolve, reject) => {
      const publish = (): void => resolve(withLines(head.checkpoint, [...lines.values()]))
      const asked = this.#clients.map(async (client) => {
        const askedMs = performance.now()
        try {
          const line = await client.cosign(head, prove)
          lines.set(client, line)
          this.#noteTime(client, line)
          this.#options.events.cosigned(client.witness.name, performance.now() - askedMs)
          if (quorum().met) publish()
        } catch (error) {
          const failure = asFailure(client, error)
          this.#options.events.failed(client.witness.name, failure)
          if (!this.#contradicts(failure)) return
          this.#contradiction = failure
          reject(failure)
        }
      })
      this.#lastRound = Promise.all(asked).then(() => {
        const result = quorum()
        if (result.met) return
        const failure = new SteleError(
          'quorum_not_met',
          `size ${head.size} lacks cosignatures: ${describeMissing(result.missing)}`,
        )
        if (!this.#options.withoutQuorum || this.#contradiction) return reject(failure)
        this.#options.events.publishedWithoutQuorum(failure)
        publish()
      })
    })
  }

  #noteTime(client: WitnessClient, { signature }: NoteSignature): void {
    const { type } = client.witness.key
    const seconds = isCosignerKeyType(type) ? parseCosignature(signature, type).timestampSeconds : undefined
    if (seconds !== undefined) this.#times.set(client, seconds)
  }

  #contradicts(failure: SteleError): boolean {
    return hasCode(failure, 'rolled_back') || (this.#options.forkStops === true && hasCode(failure, 'fork'))
  }
}

function withLines(checkpoint: string, lines: readonly NoteSignature[]): string {
  const { text, signatures } = parseNote(checkpoint)
  return formatNote({ text, signatures: [...signatures, ...lines] })
}

function asFailure({ witness }: WitnessClient, error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', `witness ${witness.name}: ${message}`, { cause: error })
}

/** An answer holds a few lines of signatures, the longest of 3.3 kB, or a size. */
const MAX_ANSWER_BYTES = 64 * 1024
/** How many corrected sizes of one witness are accepted for one head. */
const MAX_TRIES = 3
/** The longest Retry-After that is honoured: a mistaken header must not cost a log its quorum for a day. */
const LONGEST_PATIENCE_SECONDS = 300

/** Options of requests to a witness. */
interface WitnessClientOptions {
  readonly fetch: typeof fetch
  /** For each request. */
  readonly timeoutMs: number
  /** Milliseconds since 1970. Default: the clock of the platform. */
  readonly nowMs?: (() => number) | undefined
}

/**
 * Requests cosignatures from one witness (c2sp.org/tlog-witness). Owner of the size that it last cosigned, and of the
 * time until which it asked for no further requests.
 */
export class WitnessClient {
  readonly witness: PolicyWitness
  readonly #url: string
  readonly #fetch: typeof fetch
  readonly #timeoutMs: number
  readonly #nowMs: () => number
  #lastSize = 0
  #notBeforeMs = 0
  /** The error of the answer that asked for a delay. */
  #refusal: SteleError | undefined

  constructor(witness: PolicyWitness, options: WitnessClientOptions) {
    if (witness.url === undefined) {
      throw new SteleError('usage', `policy: the witness ${excerpt(witness.name)} needs a URL`)
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
   * @throws SteleError `rolled_back` if the witness has cosigned a larger tree of this log; `fork` if it refuses the
   *   proof that this tree extends the one it has cosigned; `rate_limited` (429) and `overloaded` (503), also without a
   *   request until the time in `Retry-After` (at most 300 s) is over; `unreachable`, `unexpected_answer`,
   *   `bad_signature` and others for answers that are not a cosignature
   */
  async cosign(head: SignedHead, prove: (oldSize: number) => Promise<Hash[]>): Promise<NoteSignature> {
    if (this.#refusal && this.#nowMs() < this.#notBeforeMs) throw this.#refusal
    this.#refusal = undefined
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      // The log never sends a head smaller than one that was cosigned, so `#lastSize` is still right for a witness that
      // was asked before.
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

  /** Keeps the one line that verifies with the witness's own key, and drops all others. */
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

  /** Requests to an overloaded witness are postponed, because retries would increase its load. */
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
