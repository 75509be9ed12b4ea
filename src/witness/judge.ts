import { equalBytes } from '../bytes/bytes.ts'
import { hasCode, SteleError } from '../errors.ts'
import { EMPTY_ROOT } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import type { Checkpoint } from '../note/checkpoint.ts'
import type { AddCheckpoint } from '../note/add-checkpoint.ts'

/** The result of the rules of c2sp.org/tlog-witness for a checkpoint that its log has signed. */
export type Verdict =
  | { readonly kind: 'cosign' }
  /** The caller's old size is not the size that was cosigned last: this one. */
  | { readonly kind: 'conflict'; readonly size: number }
  /** `out_of_range`, `bad_proof` or `fork`. */
  | { readonly kind: 'refused'; readonly error: SteleError }

/**
 * How a checkpoint signed by its log contradicts that log.
 *
 * - `fork`: another root hash at the size that was cosigned. The two signatures prove it.
 * - `empty_root`: a tree without leaves whose root hash is not that of the empty tree. The checkpoint alone proves it.
 * - `inconsistent`: the proof from the cosigned tree does not hold. This proves nothing: any caller may send a signed
 *   checkpoint with a wrong proof. The log can be asked for the right one.
 * - `went_back`: the log's own URL serves a smaller tree than before; only a follower of the log can see that. It
 *   proves that the log was rolled back, or that a cache in front of it serves old content.
 */
export type Contradiction = 'fork' | 'empty_root' | 'inconsistent' | 'went_back'

/** The tree that was cosigned last. */
export type Held = Pick<Checkpoint, 'size' | 'root'>

const COSIGN: Verdict = { kind: 'cosign' }

/**
 * Checks a request against what was cosigned last. The log's signature has been verified. Compares with the held root
 * hash, never with one that a caller sent.
 *
 * @param held undefined if nothing was ever cosigned for this log
 */
export function judge(held: Held | undefined, { oldSize, checkpoint, path }: JudgedRequest): Verdict {
  const { size: newSize, root: newRoot } = checkpoint
  const size = held?.size ?? 0
  if (oldSize > newSize)
    return refused('out_of_range', `old size ${oldSize} is above the checkpoint's, ${newSize}`)
  if (oldSize !== size) return { kind: 'conflict', size }
  if (newSize === 0 && !equalBytes(newRoot, EMPTY_ROOT)) {
    return refused('bad_proof', 'size 0 is signed with another root hash than the empty tree has')
  }
  // The empty tree is a prefix of every tree, so no proof is needed.
  if (held === undefined || size === 0) return path.length === 0 ? COSIGN : refused('bad_proof', SURPLUS)
  if (newSize === size && !equalBytes(newRoot, held.root)) {
    return refused('fork', `another root hash was cosigned at size ${size}`)
  }
  try {
    verifyConsistency({ oldSize, newSize, oldRoot: held.root, newRoot, path })
    return COSIGN
  } catch (error) {
    if (hasCode(error, 'bad_proof')) return { kind: 'refused', error }
    throw error
  }
}

/** The checked parts of a request. */
export type JudgedRequest = Pick<AddCheckpoint, 'oldSize' | 'checkpoint' | 'path'>

/** The contradiction between a signed checkpoint and its log, if any. Independent of the answer to the caller. */
export function contradictionIn(
  held: Held | undefined,
  { checkpoint }: JudgedRequest,
  verdict: Verdict,
): Contradiction | undefined {
  const { size, root } = checkpoint
  if (size === 0) return equalBytes(root, EMPTY_ROOT) ? undefined : 'empty_root'
  if (size === held?.size && !equalBytes(root, held.root)) return 'fork'
  const isGrowth = held !== undefined && held.size > 0 && size > held.size
  const isUnproven = verdict.kind === 'refused' && verdict.error.code === 'bad_proof'
  return isGrowth && isUnproven ? 'inconsistent' : undefined
}

const SURPLUS = 'old size 0 goes without a proof'

function refused(code: 'out_of_range' | 'bad_proof' | 'fork', message: string): Verdict {
  return { kind: 'refused', error: new SteleError(code, `checkpoint: ${message}`) }
}
