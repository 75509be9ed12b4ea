import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError, type ErrorCode } from '../errors.ts'
import { asHash, leafHash, type Hash } from '../merkle/hash.ts'
import { rootFromInclusion } from '../merkle/verify.ts'
import { openCheckpoint } from '../note/checkpoint.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { parseProofFile } from '../note/proof-file.ts'
import { followRotations } from '../note/rotation.ts'
import { policyWithRotations } from '../policy/rotations.ts'
import { openWithPolicy, type WitnessedCheckpoint } from '../policy/evaluate.ts'
import type { Policy } from '../policy/policy.ts'

/** What is to be verified, and whom the caller trusts. */
export interface ProofCheck {
  /** A `.tlog-proof` file. */
  readonly proof: string | Uint8Array
  /** The entry, or its leaf hash, from the caller's own records: one of the two. */
  readonly entry?: Uint8Array
  readonly leafHash?: Uint8Array
  /** The log that the proof must be of. Without it, and without keys, one that the policy lists. */
  readonly origin?: string
  /** The log's keys; one good signature suffices, and one bad one by any of them is too many. */
  readonly verifierKeys?: readonly (string | VerifierKey)[]
  /** What old keys of the log say of new ones, as `v1/keys/rotations` serves it: those are believed, too. */
  readonly rotations?: string | Uint8Array | undefined
  /** Whose cosignatures are asked for beside the log's own signature; without it, nobody's. */
  readonly policy?: Policy
}

/** The entry is in the log. */
export interface ProofVerified {
  readonly verdict: 'verified'
  readonly origin: string
  readonly index: number
  readonly leafHash: Hash
  /** Size of the signed tree that the proof leads to. */
  readonly treeSize: number
  /** Names of the log's keys that signed that tree. */
  readonly signedBy: readonly string[]
  /** What the policy calls the witnesses that cosigned it, with the times they say, in seconds since 1970. */
  readonly cosignedBy: readonly { readonly name: string; readonly timestampSeconds: number | undefined }[]
}

/** Why a proof shows nothing. The list is closed. */
export type ProofFault =
  /** The file, or the checkpoint in it, does not follow its format. */
  | 'malformed'
  /** The checkpoint is of another log. */
  | 'wrong_log'
  /** No trusted key has signed the checkpoint. */
  | 'untrusted_signer'
  /** A line by a trusted key does not verify. */
  | 'bad_signature'
  /** The log has signed it, and fewer witnesses have cosigned it than the policy asks for. */
  | 'quorum_not_met'
  /** No entry could have this proof: an index outside the tree, or a path of another length than it has there. */
  | 'bad_proof'
  /** The proof does not lead from this entry to the signed root hash: it is another entry's, or a hash in it was changed. */
  | 'wrong_entry'

/** A proof that shows nothing. */
export interface ProofRefused {
  readonly verdict: ProofFault
  /** What was expected and what came. */
  readonly message: string
}

// By default nothing is verified: a code that is not listed is no verdict on the proof, and is thrown on.
const FAULTS: Partial<Readonly<Record<ErrorCode, ProofFault>>> = {
  malformed: 'malformed',
  out_of_range: 'malformed', // an index or size that no number here can hold
  wrong_origin: 'wrong_log',
  untrusted_signer: 'untrusted_signer',
  bad_signature: 'bad_signature',
  quorum_not_met: 'quorum_not_met',
  bad_proof: 'bad_proof',
}

/**
 * Verifies a proof file offline: with nothing but the entry and the log's key, years later if need be.
 *
 * @throws SteleError `usage` unless exactly one of entry and leaf hash is given; `malformed` for a leaf hash that
 *   is not 32 bytes or a verifier key that is none, and as `followRotations`: these are the caller's, not the proof's
 */
export function verifyProofFile(check: ProofCheck): ProofVerified | ProofRefused {
  const leaf = leafOf(check)
  const open = opener(check)
  try {
    return verify(check, leaf, open)
  } catch (error) {
    const verdict = error instanceof SteleError ? FAULTS[error.code] : undefined
    if (verdict === undefined) throw error
    return { verdict, message: (error as SteleError).message }
  }
}

/** Prepares the check of signatures, whoever's are asked for. */
function opener({
  origin,
  verifierKeys,
  policy: listed,
  rotations = '',
}: ProofCheck): (note: string) => Opened {
  const policy = listed && policyWithRotations(listed, rotations)
  const keys = verifierKeys?.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
  if ((origin === undefined) !== (keys === undefined) || (!keys && !policy)) {
    throw new SteleError(
      'usage',
      'verifyProofFile: expected origin and verifier keys, or a policy, or all of them',
    )
  }
  const log = keys && {
    origin: origin!,
    verifiers: followRotations({ origin: origin!, verifiers: keys }, rotations),
  }
  if (policy) return (note) => openWithPolicy(note, policy, log)
  return (note) => ({ ...openCheckpoint(note, log!), cosignatures: [] })
}

type Opened = Pick<WitnessedCheckpoint, 'checkpoint' | 'verifiedBy' | 'cosignatures'>

function verify(
  { proof }: ProofCheck,
  leaf: Hash,
  open: (note: string) => Opened,
): ProofVerified | ProofRefused {
  const { index, path, checkpoint: note } = parseProofFile(proof)
  const { checkpoint, verifiedBy, cosignatures } = open(note)
  const treeSize = checkpoint.size
  if (index >= treeSize) {
    return {
      verdict: 'bad_proof',
      message: `proof: expected an index below tree size ${treeSize}, got ${index}`,
    }
  }
  const root = rootFromInclusion({ index, size: treeSize, leaf, path })
  if (!equalBytes(root, checkpoint.root)) {
    const message =
      `proof: for the leaf hash ${toHex(leaf)} at index ${index} it leads to ${toHex(root)}, but the log signed ` +
      `${toHex(checkpoint.root)} at size ${treeSize}. It is the proof of another entry, or was changed`
    return { verdict: 'wrong_entry', message }
  }
  return {
    verdict: 'verified',
    origin: checkpoint.origin,
    index,
    leafHash: leaf,
    treeSize,
    signedBy: verifiedBy.map(({ name }) => name),
    cosignedBy: cosignatures.map(({ witness, timestampSeconds }) => ({
      name: witness.name,
      timestampSeconds,
    })),
  }
}

function leafOf(check: ProofCheck): Hash {
  if ((check.entry === undefined) === (check.leafHash === undefined)) {
    throw new SteleError('usage', 'verifyProofFile: expected either an entry or a leaf hash')
  }
  return check.entry === undefined ? asHash(check.leafHash!, 'leaf hash') : leafHash(check.entry)
}
