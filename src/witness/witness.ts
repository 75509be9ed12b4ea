import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { verifySubtreeConsistency } from '../merkle/verify.ts'
import { formatNote, formatSignatures, type NoteSignature, verifyLines } from '../note/note.ts'
import { keepEvidence, type EvidenceEvents, type EvidenceKeeper } from './evidence.ts'
import { cosignedHead, type CosignedHead } from './head.ts'
import { contradictionIn, judge, type Verdict } from './judge.ts'
import { checkWitnessKeys, subtreeKeys, verifiersOf, type WitnessKey } from './keys.ts'
import { checkLogs, originHash, refusalOr, signedBy, type VerifiedLines, type WitnessedLog } from './logs.ts'
import {
  type AddCheckpoint,
  parseAddCheckpoint,
  parseSignSubtree,
  type SignSubtree,
  type Submitted,
} from '../note/add-checkpoint.ts'
import type { Step, WitnessStore } from './store.ts'

/** What a witness is made of. */
export interface WitnessParts {
  /** At first; see {@link Witness.replaceLogs}. */
  readonly logs: readonly WitnessedLog[]
  readonly keys: readonly WitnessKey[]
  /** Opened by the caller, which also closes it. */
  readonly store: WitnessStore
  readonly evidence: EvidenceKeeper
  /** The clock: milliseconds since 1970. It may go back, and may be wrong. */
  readonly nowMs: () => number
  readonly events: WitnessEvents
}

/** What a witness tells its operator. */
export type WitnessEvents = EvidenceEvents

/** The answer to an `add-checkpoint` or a `sign-subtree`. */
export type Answered =
  | { readonly kind: 'cosigned'; readonly lines: string }
  /** The size that was cosigned last. */
  | { readonly kind: 'conflict'; readonly size: number }
  /** Nothing was signed: `untrusted_signer` and `bad_signature`, `bad_proof` and `fork`, `out_of_range`. */
  | { readonly kind: 'refused'; readonly error: SteleError }

/** A witness (c2sp.org/tlog-witness): cosigns the checkpoints of logs, and never two histories of one log. */
export class Witness {
  readonly #parts: WitnessParts
  #logs: ReadonlyMap<string, WitnessedLog> = new Map()

  /** @throws SteleError `usage` for keys and logs that no witness can have */
  constructor(parts: WitnessParts) {
    checkWitnessKeys(parts.keys)
    this.#parts = parts
    this.replaceLogs(parts.logs)
  }

  get logs(): readonly WitnessedLog[] {
    return [...this.#logs.values()]
  }

  /**
   * Cosigns for these logs from now on, and for no others. Requests in progress use the old list. The state of a
   * removed log is kept, and binds the witness if the log is added again.
   *
   * @throws SteleError `usage` for logs that a witness with these keys cannot have; then nothing is changed
   */
  replaceLogs(logs: readonly WitnessedLog[]): void {
    checkLogs(logs, verifiersOf(this.#parts.keys))
    this.#logs = new Map(logs.map((log) => [log.origin, log]))
  }

  get keys(): readonly WitnessKey[] {
    return this.#parts.keys
  }

  /** True if it can sign subtrees, which takes a key of type ML-DSA-44. */
  get signsSubtrees(): boolean {
    return subtreeKeys(this.#parts.keys).length > 0
  }

  /** Why nothing is signed any more; undefined while there is no failure. */
  get failure(): SteleError | undefined {
    return this.#parts.store.failure
  }

  /** What was cosigned last for a log. @param hash SHA-256 of its origin in lower-case hex */
  head(hash: string): CosignedHead | undefined {
    return this.#parts.store.get(hash)
  }

  /**
   * Cosigns a checkpoint if it is consistent with what was cosigned before. The new state is on disk before this
   * resolves.
   *
   * @throws SteleError `malformed` and `out_of_range` for an unreadable request; `not_found` for a log that is not
   *   witnessed; as the store's `update`
   */
  async addCheckpoint(body: Uint8Array): Promise<Answered> {
    const request = parseAddCheckpoint(body)
    const log = this.#logOf(request)
    const signed = signedBy(log, request)
    if (signed instanceof SteleError) return { kind: 'refused', error: signed }
    let against: { held: CosignedHead | undefined; verdict: Verdict } | undefined
    const answer = await this.#parts.store.update(
      originHash(log.origin),
      async (held): Promise<Step<Answered>> => {
        const verdict = judge(held?.checkpoint, request)
        against = { held, verdict }
        return verdict.kind === 'cosign' ? this.#cosign(held, signed) : { result: verdict }
      },
    )
    // Outside the log's turn, so that writing evidence does not delay the log's next checkpoint.
    if (against && answer.kind !== 'cosigned') await this.#keepEvidence(log, request, signed, against)
    return answer
  }

  /**
   * Cosigns a part of a tree that it cosigned before (optional in c2sp.org/tlog-witness). Keeps nothing.
   *
   * @throws SteleError `malformed` and `out_of_range` for what cannot be read; `not_found` for the checkpoint of a log
   *   that is not witnessed, or if this witness signs no subtrees
   */
  async signSubtree(body: Uint8Array): Promise<Answered> {
    if (!this.signsSubtrees) throw new SteleError('not_found', 'this witness signs no subtrees')
    const request = parseSignSubtree(body)
    const { origin } = this.#logOf(request)
    const { start, end, hash } = request
    const keys = this.#cosignersOf(request)
    if (keys instanceof SteleError) return { kind: 'refused', error: keys }
    const refusal = refusalOr(() => checkSubtreeProof(request), 'bad_proof')
    if (refusal) return { kind: 'refused', error: refusal }
    const lines: NoteSignature[] = []
    for (const key of keys) lines.push(await key.signSubtree({ origin, start, end, hash }))
    return { kind: 'cosigned', lines: formatSignatures(lines) }
  }

  #logOf({ checkpoint: { origin } }: Submitted): WitnessedLog {
    const log = this.#logs.get(origin)
    if (log) return log
    throw new SteleError('not_found', `origin ${excerpt(origin)}: this witness does not know that log`)
  }

  /** Signs, and passes the signatures to the store, which releases them only once they are on disk. */
  async #cosign(held: CosignedHead | undefined, signed: VerifiedLines): Promise<Step<Answered>> {
    const nowSeconds = Math.floor(this.#parts.nowMs() / 1000)
    // A clock that goes back must not produce an older statement, and a time of 0 would state nothing.
    const timestampSeconds = Math.max(nowSeconds, held?.timestampSeconds ?? 0, 1)
    if (
      held?.ownSignatures.length === this.#parts.keys.length &&
      isSameStatement(held, signed, timestampSeconds)
    ) {
      return { result: { kind: 'cosigned', lines: formatSignatures(held.ownSignatures) } }
    }
    const lines: NoteSignature[] = []
    for (const key of this.#parts.keys) lines.push(await key.cosign(signed.text, timestampSeconds))
    const next = cosignedHead(signed, lines, timestampSeconds)
    return { next, result: { kind: 'cosigned', lines: formatSignatures(lines) } }
  }

  /** The keys of this witness that have cosigned the checkpoint and sign subtrees. */
  #cosignersOf({ note }: SignSubtree): WitnessKey[] | SteleError {
    const own = this.#parts.keys
    // Only the ML-DSA-44 line of this witness counts: otherwise a forged Ed25519 cosignature would get an ML-DSA-44
    // one.
    const able = subtreeKeys(own)
    const lines = refusalOr(() => verifyLines(note, verifiersOf(own)), 'bad_signature')
    if (lines instanceof SteleError) return lines
    const keys = able.filter(({ verifier }) => lines.verifiedBy.includes(verifier))
    if (keys.length > 0) return keys
    return new SteleError(
      'untrusted_signer',
      'note: expected an ML-DSA-44 cosignature by this witness, found none',
    )
  }

  async #keepEvidence(
    log: WitnessedLog,
    request: AddCheckpoint,
    signed: VerifiedLines,
    { held, verdict }: { held: CosignedHead | undefined; verdict: Verdict },
  ): Promise<void> {
    const kind = contradictionIn(held?.checkpoint, request, verdict)
    if (!kind) return
    const { evidence: keeper, events, nowMs } = this.#parts
    const suspect = formatNote(signed)
    const heldAtMs = held && held.timestampSeconds * 1000
    const evidence = { kind, log, held: held?.note, suspect, request, heldAtMs, seenAtMs: nowMs() }
    await keepEvidence(keeper, events, evidence)
  }
}

/**
 * True if the statement equals the last signed one: repeated requests within a second get the same lines. So however
 * often callers send a checkpoint, a second costs one signature and one write.
 */
function isSameStatement(held: CosignedHead, signed: VerifiedLines, timestampSeconds: number): boolean {
  if (held.timestampSeconds !== timestampSeconds || !held.note.startsWith(`${signed.text}\n`)) return false
  const isHeld = ({ name, id }: NoteSignature): boolean =>
    held.logSignatures.some((line) => line.name === name && line.id === id)
  return signed.signatures.every(isHeld)
}

function checkSubtreeProof({ start, end, hash, path, checkpoint: { size, root } }: SignSubtree): void {
  verifySubtreeConsistency({ start, end, size, nodeHash: hash, path, root })
}
