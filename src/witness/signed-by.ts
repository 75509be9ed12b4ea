import { hasCode, SteleError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { checkLogStatement } from '../note/checkpoint.ts'
import { verifyLines } from '../note/note.ts'
import type { VerifiedNote } from '../note/note.ts'
import type { WitnessedLog } from './logs.ts'
import type { Submitted } from '../note/add-checkpoint.ts'

/** The text of a checkpoint and the log's lines on it that were verified. */
export type VerifiedLines = Pick<VerifiedNote, 'text' | 'signatures'>

/** What the log has signed of a checkpoint, or why that is nothing. */
export function signedBy(
  { keys }: WitnessedLog,
  { note, checkpoint }: Submitted,
): VerifiedLines | SteleError {
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

/** What `check` gives, or what it throws if that is one of these refusals. */
export function refusalOr<T>(check: () => T, ...codes: ErrorCode[]): T | SteleError {
  try {
    return check()
  } catch (error) {
    if (hasCode(error, ...codes)) return error
    throw error
  }
}
