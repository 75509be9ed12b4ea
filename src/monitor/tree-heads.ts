import { decodeUtf8 } from '../bytes/text.ts'
import type { Transport, VerifiedCheckpoint } from '../client/index.ts'
import { isPassing, retrying, type RetryLimits } from '../client/retry.ts'
import { SteleError } from '../errors.ts'
import { openCheckpoint } from '../note/checkpoint.ts'
import { checkpointOfTreeHead, parseGetSth, treeHeadOfCheckpoint } from '../note/get-sth.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { formatVerifierKey, verifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { blaming } from './blame.ts'

/** A verified RFC 6962 tree head, as the equivalent checkpoint. */
export interface VerifiedTreeHead extends VerifiedCheckpoint {
  /** The log's time, in milliseconds since 1970. */
  readonly timestampMs: number
}

const MAX_ANSWER_BYTES = 64 * 1024

/** Reads get-sth (RFC 6962 section 4.3), the log's second statement of its tree: dated, and signed by another key. */
export class TreeHeads {
  readonly url: string
  readonly #transport: Transport
  readonly #limits: RetryLimits
  readonly #origin: string
  readonly #key: VerifierKey

  /**
   * @param prefix the start of the log's URLs, ending with a slash
   * @param spki the log's P-256 key, SubjectPublicKeyInfo DER
   * @throws SteleError `malformed` for any other key
   */
  constructor(prefix: string, transport: Transport, limits: RetryLimits, origin: string, spki: Uint8Array) {
    this.url = `${prefix}ct/v1/get-sth`
    this.#transport = transport
    this.#limits = limits
    this.#origin = origin
    this.#key = verifierKey(origin, KEY_TYPE.treeHead, spki)
  }

  /** The key as text, with which the notes can be verified. */
  get vkey(): string {
    return formatVerifierKey(this.#key)
  }

  /** @throws Blamed `bad_signature`, `unreachable` */
  async read(): Promise<VerifiedTreeHead> {
    const { body } = await blaming('unreachable', undefined, () =>
      retrying(this.#transport.clock, this.#limits, isPassing, (timeoutMs) =>
        this.#transport.ask(this.url, {
          maxBytes: MAX_ANSWER_BYTES,
          timeoutMs,
          signal: this.#limits.signal,
          fresh: true,
        }),
      ),
    )
    return blaming('bad_signature', undefined, () => this.open(this.#noteOf(body)))
  }

  /** @throws SteleError as `openCheckpoint` */
  open(note: string): VerifiedTreeHead {
    const { checkpoint } = openCheckpoint(note, { origin: this.#origin, verifiers: [this.#key] })
    return { ...checkpoint, note, timestampMs: treeHeadOfCheckpoint(note, this.#key).timestampMs }
  }

  #noteOf(body: Uint8Array): string {
    return checkpointOfTreeHead(parseGetSth(asJson(body)), this.#key)
  }
}

function asJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body, 'get-sth')) as unknown
  } catch (cause) {
    throw new SteleError('malformed', 'get-sth: expected JSON', { cause })
  }
}
