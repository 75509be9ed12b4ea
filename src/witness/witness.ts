import { excerpt } from '../bytes/excerpt.ts'
import { hasCode, SteleError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { verifySubtreeConsistency } from '../merkle/verify.ts'
import { checkLogStatement } from '../note/checkpoint.ts'
import { formatNote, formatSignatures, verifyLines } from '../note/note.ts'
import type { NoteSignature, VerifiedNote } from '../note/note.ts'
import { shownByProof, type Evidence, type EvidenceKeeper, type Kept } from './evidence.ts'
import { cosignedHead } from './head.ts'
import type { CosignedHead } from './head.ts'
import { contradictionIn, judge } from './judge.ts'
import type { Verdict } from './judge.ts'
import { checkWitnessKeys, subtreeKeys, verifiersOf } from './keys.ts'
import type { WitnessKey } from './keys.ts'
import { checkLogs, originHash } from './logs.ts'
import type { WitnessedLog } from './logs.ts'
import { parseAddCheckpoint, parseSignSubtree } from './request.ts'
import type { AddCheckpoint, SignSubtree, Submitted } from './request.ts'
import type { Step, WitnessStore } from './store.ts'

/** What a witness is made of. */
export interface WitnessParts {
  readonly logs: readonly WitnessedLog[]
  readonly keys: readonly WitnessKey[]
  /** Opened, and closed by whoever opened it. */
  readonly store: WitnessStore
  readonly evidence: EvidenceKeeper
  /** The clock: milliseconds since 1970. It may go back, and may be wrong. */
  readonly nowMs: () => number
  readonly events: WitnessEvents
}

/** What a witness tells its operator. */
export interface WitnessEvents {
  /** A log contradicted itself. @param kept what became of it, or why it could not be kept */
  contradiction(evidence: Evidence, kept: Kept | SteleError): void
}

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
  readonly #logs: ReadonlyMap<string, WitnessedLog>

  /** @throws SteleError `usage` for keys and logs that no witness can have */
  constructor(parts: WitnessParts) {
    checkWitnessKeys(parts.keys)
    checkLogs(parts.logs, verifiersOf(parts.keys))
    this.#parts = parts
    this.#logs = new Map(parts.logs.map((log) => [log.origin, log]))
  }

  get logs(): readonly WitnessedLog[] {
    return this.#parts.logs
  }

  get keys(): readonly WitnessKey[] {
    return this.#parts.keys
  }

  /** True if it can sign subtrees, which takes a key of type ML-DSA-44. */
  get signsSubtrees(): boolean {
    return subtreeKeys(this.#parts.keys).length > 0
  }

  /** Why nothing is signed any more, or undefined while all is well. */
  get failure(): SteleError | undefined {
    return this.#parts.store.failure
  }

  /** What was cosigned last for a log. @param hash SHA-256 of its origin in lower-case hex */
  head(hash: string): CosignedHead | undefined {
    return this.#parts.store.get(hash)
  }

  /**
   * Cosigns a checkpoint if it is consistent with what was cosigned before. What it says is on disk by then.
   *
   * @throws SteleError `malformed` and `out_of_range` for what cannot be read; `not_found` for the checkpoint of a log
   *   that is not witnessed; as the store's `update`
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
    // Not in the log's turn: writing evidence must not hold up the log's next checkpoint.
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

  /** Signs, and hands the signatures to the store: they leave it only once they are on disk. */
  async #cosign(held: CosignedHead | undefined, signed: VerifiedLines): Promise<Step<Answered>> {
    const nowSeconds = Math.floor(this.#parts.nowMs() / 1000)
    // A clock that goes back must not make this look like an older statement, and 0 would be no statement at all.
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
    // A cosignature by the Ed25519 key buys none by the other: whoever can forge the first must not get the second.
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
    const found = contradictionIn(held?.checkpoint, request, verdict)
    if (!found) return
    const proof = found === 'inconsistent' ? shownByProof(request, request.checkpoint) : undefined
    // What proves itself must not be crowded out by proofs that are just wrong, which anybody can send.
    const kind = proof ? 'fork' : found
    const { evidence: keeper, events, nowMs } = this.#parts
    const suspect = formatNote(signed)
    const heldAtMs = held && held.timestampSeconds * 1000
    const evidence = { kind, log, held: held?.note, suspect, request, proof, heldAtMs, seenAtMs: nowMs() }
    try {
      events.contradiction(evidence, await keeper.keep(evidence))
    } catch (error) {
      // The answer stands; that there was something to keep is said as loudly as it can be.
      if (!hasCode(error, 'io_error')) throw error
      events.contradiction(evidence, error)
    }
  }
}

/** The text of a checkpoint and the log's lines on it that were verified. */
type VerifiedLines = Pick<VerifiedNote, 'text' | 'signatures'>

/** What the log has signed of a checkpoint, or why that is nothing. */
function signedBy({ keys }: WitnessedLog, { note, checkpoint }: AddCheckpoint): VerifiedLines | SteleError {
  const lines = refusalOr(() => verifyLines(note, keys), 'bad_signature')
  if (lines instanceof SteleError) return lines
  const { signatures, verifiedBy } = lines
  if (signatures.length === 0) {
    return new SteleError('untrusted_signer', 'note: expected a signature by the log, found none')
  }
  const refusal = refusalOr(() => checkLogStatement(checkpoint, verifiedBy), 'bad_signature', 'bad_proof')
  // A wrong root hash at size 0 is judged later: a conflict goes before it.
  return refusal?.code === 'bad_signature' ? refusal : { text: note.text, signatures }
}

/**
 * True if there is nothing to add to what was signed: asking again within a second gets the same lines. So however often
 * a signed checkpoint is sent again, and anybody can send it, a second costs one signature and one write.
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

/** What `check` gives, or what it throws if that is one of these refusals. */
function refusalOr<T>(check: () => T, ...codes: ErrorCode[]): T | SteleError {
  try {
    return check()
  } catch (error) {
    if (hasCode(error, ...codes)) return error
    throw error
  }
}
