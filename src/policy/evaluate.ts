import { SteleError } from '../errors.ts'
import {
  checkLogKeys,
  checkLogStatement,
  checkOriginOf,
  formatCheckpoint,
  openCheckpoint,
  openCopiedCheckpoint,
  parseCheckpoint,
} from '../note/checkpoint.ts'
import type { Checkpoint, LogIdentity, OpenedCheckpoint } from '../note/checkpoint.ts'
import { parseCosignature } from '../note/cosignature.ts'
import { isCosignerKeyType } from '../note/key-id.ts'
import { parseNote, verifyLines } from '../note/note.ts'
import type { NoteSignature, VerifiedLines, VerifierKey } from '../note/note.ts'
import { showItem } from './octets.ts'
import type { Policy, PolicyWitness } from './policy.ts'
import { describeMissing, evaluateQuorum, isSameKey } from './quorum.ts'
import type { Quorum } from './quorum.ts'

/** A line by a listed witness that was verified. */
export interface WitnessCosignature {
  readonly witness: PolicyWitness
  /** What the witness says: seconds since 1970, or nothing for a time that no number holds. No clock was asked. */
  readonly timestampSeconds: number | undefined
  /** The line, as it stands on the note. */
  readonly signature: NoteSignature
}

/**
 * The result of a policy for a checkpoint. The checkpoint is trusted only if `logKeys` is not empty and the quorum is
 * met.
 */
export interface PolicyEvaluation {
  /** Verified only as far as the rest says. */
  readonly unverified: Checkpoint
  /** The log's keys that signed, in the order of their lines. */
  readonly logKeys: readonly VerifierKey[]
  /** One per witness that cosigned, in the order of their lines. */
  readonly cosignatures: readonly WitnessCosignature[]
  readonly quorum: Quorum
  /** All verified lines and, apart, the rest, of which nothing is known. */
  readonly lines: VerifiedLines
}

/** A checkpoint that its log signed, and as many witnesses as the policy asks for. */
export interface WitnessedCheckpoint extends OpenedCheckpoint {
  readonly cosignatures: readonly WitnessCosignature[]
}

/** The keys and cosignatures that a reader trusts for one log. */
export interface Trust extends LogIdentity {
  /** Whose cosignatures its checkpoints must carry. Its `log` lines do not count: `verifiers` are the log's keys. */
  readonly policy?: Policy | undefined
  /** True if `verifiers` are the keys of a mirror, which speaks for its copy of the log. */
  readonly ofMirror?: boolean | undefined
}

/** Opens a checkpoint. @throws SteleError as `openCheckpoint`, and with a policy as {@link openWithPolicy} */
export function openTrusted(note: string | Uint8Array, trust: Trust): OpenedCheckpoint {
  if (trust.ofMirror) return openCopiedCheckpoint(note, trust)
  return trust.policy ? openWithPolicy(note, trust.policy, trust) : openCheckpoint(note, trust)
}

/**
 * Checks a signed checkpoint against a policy and reports which signatures are there and which are missing.
 *
 * Every line by a listed key is verified, and a bad one makes the whole note invalid. A listed log counts for its own
 * origin only, so that no log can speak for another. Lines by other keys are ignored, even with copied names or key
 * IDs.
 *
 * @param log the expected log, if the caller knows it; then the `log` lines of the policy do not count
 * @throws SteleError `malformed`; `out_of_range` for a size above 2^53 - 1; `bad_signature`; `wrong_origin` if `log`
 *   has another; `untrusted_signer` if two keys claim the same line; `usage` for a log key of type 0x04
 */
export function evaluatePolicy(
  policy: Policy,
  note: string | Uint8Array,
  log?: LogIdentity,
): PolicyEvaluation {
  const unverified = parseNote(note)
  const checkpoint = parseCheckpoint(unverified.text)
  const logKeys = logKeysFor(policy, checkpoint, log)
  const witnessKeys = policy.witnesses.map(({ key }) => key)
  const lines = verifyLines(unverified, distinct([...logKeys, ...witnessKeys]))
  return {
    unverified: checkpoint,
    logKeys: lines.verifiedBy.filter((key) => logKeys.some((logKey) => isSameKey(logKey, key))),
    cosignatures: cosignaturesOf(policy, lines),
    quorum: evaluateQuorum(policy, lines.verifiedBy),
    lines,
  }
}

/**
 * Opens a checkpoint under a policy: what comes back was signed by a listed log under its own origin, or by `log`, and
 * cosigned by a quorum of witnesses. Nothing is known yet of how it relates to other checkpoints of that log.
 *
 * @param log as in {@link evaluatePolicy}
 * @throws SteleError what {@link evaluatePolicy} does; `wrong_origin` if no listed log has this origin;
 *   `untrusted_signer` if none of its keys signed, or there is none; `quorum_not_met`; `bad_proof` and `bad_signature` as
 *   `checkLogStatement`
 */
export function openWithPolicy(
  note: string | Uint8Array,
  policy: Policy,
  log?: LogIdentity,
): WitnessedCheckpoint {
  const { unverified: checkpoint, logKeys, cosignatures, quorum, lines } = evaluatePolicy(policy, note, log)
  if (logKeys.length === 0) throw unsigned(policy, checkpoint, log)
  checkLogStatement(checkpoint, logKeys)
  if (!quorum.met) {
    throw new SteleError(
      'quorum_not_met',
      `checkpoint: expected a quorum, ${describeMissing(quorum.missing)}`,
    )
  }
  return {
    checkpoint,
    note: { text: formatCheckpoint(checkpoint), ...lines },
    verifiedBy: logKeys,
    cosignatures,
  }
}

function logKeysFor(policy: Policy, checkpoint: Checkpoint, log?: LogIdentity): readonly VerifierKey[] {
  if (log !== undefined) {
    checkLogKeys(log.verifiers)
    checkOriginOf(checkpoint, log.origin)
    return log.verifiers
  }
  return policy.logs.map(({ key }) => key).filter(({ name }) => name === checkpoint.origin)
}

// The same ML-DSA key may be listed as a log's and as a witness's; its line is verified once, and counts as both.
function distinct(keys: readonly VerifierKey[]): VerifierKey[] {
  return keys.filter((key, i) => !keys.slice(0, i).some((other) => isSameKey(other, key)))
}

function cosignaturesOf(policy: Policy, { signatures, verifiedBy }: VerifiedLines): WitnessCosignature[] {
  return verifiedBy.flatMap((key, i) => {
    const witness = policy.witnesses.find((listed) => isSameKey(listed.key, key))
    if (witness === undefined || !isCosignerKeyType(key.type)) return []
    const signature = signatures[i]!
    const { timestampSeconds } = parseCosignature(signature.signature, key.type)
    return [{ witness, timestampSeconds, signature }]
  })
}

function unsigned(policy: Policy, checkpoint: Checkpoint, log?: LogIdentity): SteleError {
  const origin = showItem(checkpoint.origin)
  const isKnown = log !== undefined || policy.logs.some(({ key }) => key.name === checkpoint.origin)
  if (isKnown || policy.logs.length === 0) {
    const message = `checkpoint: expected a signature by a key of the log ${origin}, found none`
    return new SteleError('untrusted_signer', message)
  }
  return new SteleError('wrong_origin', `checkpoint: expected the origin of a listed log, got ${origin}`)
}
