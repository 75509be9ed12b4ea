import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { asHash } from '../merkle/hash.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { followRotations } from '../note/rotation.ts'
import { parseLeafAnswer } from './answers.ts'
import { appendBatch, appendEntry, type AppendLimits, type BatchReceipt, type Receipt } from './append.ts'
import { followLog, type FollowEvent, type FollowOptions } from './follow.ts'
import { Heads, type VerifiedCheckpoint } from './heads.ts'
import { HttpFiles, logPrefix } from './http-files.ts'
import {
  proveLeaf,
  proveServed,
  proveSizes,
  readLeaves,
  type ProvenConsistency,
  type ProvenLeaf,
} from './prover.ts'
import { inTime, isPassing, retrying, type RetryLimits } from './retry.ts'
import { Sender } from './sender.ts'
import { askConsistency, isDenied, LeafAccess, type AskProof } from './served-proofs.ts'
import type { AppendOptions, BatchOptions, LogClientOptions } from './log-client-options.ts'
import { Transport } from './transport.ts'
import { checkHasBundles, readEntries, type VerifiedEntry } from './verified-entries.ts'

const DEFAULT_DEADLINE_MS = 10_000
const MAX_LEAF_ANSWER_BYTES = 4096

/**
 * A client of one log that verifies what it returns against a signed checkpoint, and every checkpoint against earlier
 * ones. Names of unverified results begin with `unverified`.
 *
 * Reading works with any tlog-tiles log; `append`, `appendBatch` and `prove` by leaf hash need a Stele log.
 *
 * @throws SteleError `usage`, `malformed` for an invalid URL or key
 */
export function openLogClient(options: LogClientOptions): LogClient {
  return new LogClient(options)
}

/**
 * See {@link openLogClient}. Owner of what it has learnt about the log: the newest verified head ({@link Heads}), and
 * whether the log shows it leaf hashes ({@link LeafAccess}).
 */
export class LogClient {
  readonly origin: string
  readonly #prefix: string
  readonly #transport: Transport
  readonly #deadlineMs: number
  readonly #access: LeafAccess
  readonly #askProof: AskProof
  readonly #heads: Heads
  readonly #verifiers: readonly VerifierKey[]
  readonly #sender: Sender
  /** Handed in by the caller and not accepted yet. */
  #known: string | undefined

  constructor(options: LogClientOptions) {
    const pinned = [options.verifierKey]
      .flat()
      .map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
    if (pinned.length === 0) throw new SteleError('usage', 'verifierKey: expected at least one')
    this.origin = options.origin ?? pinned[0]!.name
    const verifiers = followRotations({ origin: this.origin, verifiers: pinned }, options.rotations ?? '')
    this.#prefix = logPrefix(options.url)
    this.#transport = new Transport(options)
    this.#deadlineMs = options.deadlineMs ?? DEFAULT_DEADLINE_MS
    const limits = { deadlineMs: this.#deadlineMs }
    this.#access = new LeafAccess(new HttpFiles(options.url, this.#transport, limits))
    this.#askProof = askConsistency(this.#prefix, this.#transport, limits)
    const trust = { origin: this.origin, verifiers, policy: options.policy }
    this.#heads = new Heads(this.#access, this.#askProof, trust, options.cache)
    this.#verifiers = verifiers
    this.#sender = new Sender(this.#transport, this.#prefix, this.origin)
    this.#known = options.known
  }

  /** The newest head that this client has verified; undefined before the first one. */
  get newest(): VerifiedCheckpoint | undefined {
    return this.#heads.newest
  }

  /** The checkpoint as the log serves it, unverified. */
  unverifiedCheckpoint(): Promise<string> {
    return this.#access.checkpoint()
  }

  /**
   * Asks for the log's newest checkpoint.
   *
   * @returns it, once its signature is good and a proof shows that it extends the newest one verified before
   * @throws HeadConflict `fork`, `rolled_back`, with both checkpoints
   * @throws SteleError as `openCheckpoint`; `bad_proof`, `not_found` when nothing is proved
   */
  checkpoint(): Promise<VerifiedCheckpoint> {
    return inTime(this.#deadlineMs, this.#checkpoint())
  }

  /**
   * Checks a signed checkpoint from elsewhere, of any size up to the newest one, against the log.
   *
   * @returns it, once its signature is valid and a proof shows that it belongs to the history known so far
   * @throws as {@link checkpoint}
   */
  async hold(note: string): Promise<VerifiedCheckpoint> {
    await this.#acceptKnown()
    return inTime(this.#deadlineMs, this.#heads.accept(this.#heads.open(note)))
  }

  /**
   * Appends an entry of 0 to 65,535 bytes. Tries again, after a pause that is at least the one the log asks for, until
   * the deadline.
   *
   * A log recognises bytes that it has and does not append them again (unless it was made to allow duplicates): two
   * events whose entries are equal become one entry. Put an id or a time into each.
   *
   * @returns once the entry is durable and published, and its proof is verified
   * @throws SteleError `too_large`; the log's refusal; `outcome_unknown`, `unreachable` if it may have been logged;
   *   `bad_proof`, `fork` and the like if what came back does not hold. With `acknowledged`, the log had taken the entry
   *   before this failed
   */
  async append(entry: Uint8Array, options: AppendOptions = {}): Promise<Receipt> {
    await this.#acceptKnown()
    return appendEntry(this.#appending(), entry, this.#limits(options))
  }

  /**
   * Appends many entries in one atomic step: all of them or none. Equal ones become one, as with {@link append}.
   *
   * @param options with `proofs`, the receipt holds a proof file for each entry
   * @returns once they are durable and published, and each was proved to be in the log's tree where the answer says
   * @throws SteleError as {@link append}; `too_large` for more than 1,000 entries if `proofs` are asked for, or if this
   *   client's key may not read the log
   */
  async appendBatch(entries: readonly Uint8Array[], options: BatchOptions = {}): Promise<BatchReceipt> {
    await this.#acceptKnown()
    return appendBatch(this.#appending(), entries, this.#limits(options))
  }

  /** The bytes of one entry. @throws SteleError as {@link entries} */
  async entry(index: number): Promise<Uint8Array> {
    for await (const { entry } of this.entries(index, index + 1)) return entry.slice()
    throw new SteleError('out_of_range', `index ${index}: there is no such entry`)
  }

  /**
   * Entries [begin, end) in order, each verified before it is given. Their bytes are views of a larger piece.
   *
   * @param end default: the size of the newest checkpoint
   * @throws SteleError `out_of_range` beyond the published tree; `bad_proof` naming the first index that is wrong;
   *   `foreign_format` for a static-ct log, which has none of these files
   */
  async *entries(begin: number, end?: number): AsyncGenerator<VerifiedEntry, void, undefined> {
    checkHasBundles({ origin: this.origin, verifiers: this.#verifiers })
    const head = await this.#headCovering(end)
    yield* readEntries(this.#access, this.#heads.tilesOf(head), begin, end ?? head.size)
  }

  /**
   * Proves that a leaf is in the log.
   *
   * @param leaf its index, or its leaf hash, which is then looked up in the log
   * @throws SteleError `not_found` if the log says that it has no such leaf, which nothing proves; `out_of_range`;
   *   `bad_proof` if the leaf is not where the log says
   */
  prove(leaf: number | Uint8Array): Promise<ProvenLeaf> {
    return inTime(this.#deadlineMs, this.#prove(leaf))
  }

  async #prove(leaf: number | Uint8Array): Promise<ProvenLeaf> {
    const index = typeof leaf === 'number' ? leaf : await this.#unverifiedIndexOf(leaf)
    const head = await this.#headCovering(index + 1)
    const tiles = this.#heads.tilesOf(head)
    const [hash] = await readLeaves(tiles, [index])
    if (typeof leaf !== 'number' && !equalBytes(hash!, leaf)) {
      throw new SteleError(
        'bad_proof',
        `the log says that leaf hash ${toHex(leaf)} is at index ${index}: it is not`,
      )
    }
    return proveLeaf(tiles, head, index)
  }

  /**
   * Proves that the log's tree of one size is a prefix of its tree of another.
   *
   * @param newSize default: the size of the newest checkpoint
   * @throws SteleError `out_of_range` unless old <= new <= the published size; `forbidden` of a log that this client may
   *   not read, for a size of which it has verified no checkpoint: see {@link hold}
   */
  consistency(oldSize: number, newSize?: number): Promise<ProvenConsistency> {
    return inTime(this.#deadlineMs, this.#consistency(oldSize, newSize))
  }

  async #consistency(oldSize: number, newSize: number | undefined): Promise<ProvenConsistency> {
    const head = await this.#headCovering(newSize)
    const sizes = { oldSize, newSize: newSize ?? head.size }
    if (!this.#access.refused) {
      try {
        return await proveSizes(this.#heads.tilesOf(head), sizes)
      } catch (error) {
        if (!isDenied(error)) throw error
      }
    }
    return proveServed(this.#askProof, (size) => this.#heads.rootOf(size), head, sizes)
  }

  /**
   * Follows the log: gives each new checkpoint, then the entries it adds, for as long as the caller wants. Waits by
   * long polling where the log offers it.
   *
   * @throws HeadConflict `fork`, `rolled_back`, as soon as the log shows it
   * @throws SteleError `unreachable` and the like once the deadline has passed; the last state is good to go on from
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<FollowEvent, void, undefined> {
    await this.#acceptKnown()
    yield* followLog(
      {
        heads: this.#heads,
        files: new HttpFiles(this.#prefix, this.#transport, this.#limits({ signal: options.signal })),
        transport: this.#transport,
        prefix: this.#prefix,
        deadlineMs: this.#deadlineMs,
      },
      options,
    )
  }

  async #checkpoint(): Promise<VerifiedCheckpoint> {
    await this.#acceptKnown()
    const before = this.#heads.newest
    return this.#heads.accept(this.#heads.open(await this.#access.checkpoint()), before)
  }

  async #acceptKnown(): Promise<void> {
    if (this.#known === undefined) return
    await this.#heads.accept(this.#heads.open(this.#known))
    this.#known = undefined
  }

  /** The newest verified head if it will do, else the log's newest. */
  async #headCovering(size: number | undefined): Promise<VerifiedCheckpoint> {
    const newest = this.#heads.newest
    return size !== undefined && newest && newest.size >= size ? newest : this.checkpoint()
  }

  #headOfSize(size: number, limits: RetryLimits): Promise<VerifiedCheckpoint> {
    return retrying(this.#transport.clock, limits, isPassing, async () => {
      const head = await this.#headCovering(size)
      if (head.size >= size) return head
      throw new SteleError(
        'unreachable',
        `log ${this.origin}: waited for a head of size ${size}, got ${head.size}`,
      )
    })
  }

  async #unverifiedIndexOf(leaf: Uint8Array): Promise<number> {
    const url = `${this.#prefix}v1/leaves/${toHex(asHash(leaf, 'leaf hash'))}`
    const { body } = await retrying(this.#transport.clock, this.#limits({}), isPassing, (timeoutMs) =>
      this.#transport.ask(url, { maxBytes: MAX_LEAF_ANSWER_BYTES, timeoutMs }),
    )
    return parseLeafAnswer(body)
  }

  #limits({ deadlineMs = this.#deadlineMs, ...rest }: BatchOptions): AppendLimits {
    return { deadlineMs, ...rest }
  }

  #appending() {
    return {
      sender: this.#sender,
      heads: this.#heads,
      access: this.#access,
      clock: this.#transport.clock,
      headOfSize: (size: number, limits: RetryLimits) => this.#headOfSize(size, limits),
    }
  }
}
