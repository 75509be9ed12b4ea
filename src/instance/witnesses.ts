import { hasCode, SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import type { HeadCosigner } from '../log/publisher.ts'
import type { Hash } from '../merkle/hash.ts'
import { parseCosignature } from '../note/cosignature.ts'
import { isCosignerKeyType } from '../note/key-id.ts'
import { formatNote, parseNote, type NoteSignature } from '../note/note.ts'
import type { Policy } from '../policy/policy.ts'
import { describeMissing, evaluateQuorum, type Quorum } from '../policy/quorum.ts'
import { WitnessClient, type WitnessClientOptions } from './witness-client.ts'

/** What happens to witnesses, for whoever writes the server's own log. */
export interface WitnessEvents {
  cosigned(witness: string, tookMs: number): void
  failed(witness: string, failure: SteleError): void
  /** A head is published though the quorum is not met, because the operator said so. */
  publishedWithoutQuorum(reason: SteleError): void
}

export interface WitnessOptions extends WitnessClientOptions {
  /** Fail open: publish with whatever cosignatures there are. */
  readonly withoutQuorum: boolean
  /**
   * A witness that refuses the consistency proof stops the log. Without it such a witness only gives no cosignature, which
   * is enough where no entry is taken before the quorum has confirmed the head.
   */
  readonly forkStops?: boolean
  readonly events: WitnessEvents
}

/**
 * Asks the witnesses of a policy, all at once, and is content as soon as its quorum is met. What comes later than that
 * is dropped; what does not come at all is asked for again with the next head.
 */
export class Witnesses implements HeadCosigner {
  readonly #policy: Policy
  readonly #clients: readonly WitnessClient[]
  readonly #options: WitnessOptions
  /** What a witness said after the quorum was met: the next head is not published any more. */
  #contradiction: SteleError | undefined
  /** When each witness has last cosigned, by its own clock, in seconds since 1970. */
  readonly #times = new Map<WitnessClient, number>()
  /** The round before: a witness is never asked two things at a time. */
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
