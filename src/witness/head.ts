import { SteleError } from '../errors.ts'
import { parseCosignature } from '../note/cosignature.ts'
import { parseCheckpoint } from '../note/checkpoint.ts'
import type { Checkpoint } from '../note/checkpoint.ts'
import { isCosignerKeyType } from '../note/key-id.ts'
import { formatNote, parseNote, verifyLines } from '../note/note.ts'
import type { NoteSignature, VerifiedNote, VerifierKey } from '../note/note.ts'

/** The last checkpoint that a witness cosigned for one log: all its knowledge of that log. */
export interface CosignedHead {
  readonly checkpoint: Checkpoint
  /** When it was cosigned: seconds since 1970, 1 to 2^53 - 1. */
  readonly timestampSeconds: number
  /** The lines of the log that were verified. */
  readonly logSignatures: readonly NoteSignature[]
  /** The witness's own lines, as answered. */
  readonly ownSignatures: readonly NoteSignature[]
  /** The text of the checkpoint with the lines of log and witness only: the note that is stored and served. */
  readonly note: string
}

/**
 * Assembles a cosigned checkpoint from verified lines only. An unverified line that imitates this witness's name and
 * key ID would make the note unreadable for clients that trust the witness.
 */
export function cosignedHead(
  { text, signatures }: Pick<VerifiedNote, 'text' | 'signatures'>,
  ownSignatures: readonly NoteSignature[],
  timestampSeconds: number,
): CosignedHead {
  return {
    checkpoint: parseCheckpoint(text),
    timestampSeconds,
    logSignatures: signatures,
    ownSignatures,
    note: formatNote({ text, signatures: [...signatures, ...ownSignatures] }),
  }
}

/**
 * Parses a stored head. It is trusted only if the witness's own signatures verify.
 *
 * @param own the public keys of the witness; not all of them need have signed, since keys are added
 * @param where begins the error message
 * @throws SteleError `corrupt` if it is not such a note, or a signature does not verify; `wrong_key` if none is by
 *   these keys
 */
export function openHead(note: string, own: readonly VerifierKey[], where: string): CosignedHead {
  const unverified = readable(where, () => parseNote(note))
  const checkpoint = readable(where, () => parseCheckpoint(unverified.text))
  const { signatures, verifiedBy, unverified: others } = readable(where, () => verifyLines(unverified, own))
  if (signatures.length === 0) {
    throw new SteleError('wrong_key', `${where}: expected a cosignature by this witness's keys, found none`)
  }
  const times = signatures.map((line, i) => timeOf(line, verifiedBy[i]!))
  return {
    checkpoint,
    timestampSeconds: Math.max(...times),
    logSignatures: others,
    ownSignatures: signatures,
    note,
  }
}

function timeOf({ signature }: NoteSignature, { type }: VerifierKey): number {
  return isCosignerKeyType(type) ? (parseCosignature(signature, type).timestampSeconds ?? 0) : 0
}

/** Reads a value that this program has written. If it cannot be parsed, it was damaged since. */
function readable<T>(where: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SteleError) || error.code === 'internal') throw error
    throw new SteleError('corrupt', `${where}: ${error.message}`, { cause: error })
  }
}
