import { hasCode, SteleError } from '../errors.ts'
import { checkOriginOf, parseCheckpoint, type Checkpoint } from '../note/checkpoint.ts'
import { formatNote, openNote, type NoteSignature, type VerifiedNote } from '../note/note.ts'
import type { WitnessedLog } from '../witness/logs.ts'

/** A note, and how it came. */
export interface SeenNote extends Shown {
  readonly note: string
}

/** How a checkpoint came to this mirror. */
export interface Shown {
  /** When it was first seen. Milliseconds since 1970. */
  readonly seenAtMs: number
  /** True if the log's own URL has served it; false if a caller has submitted it. */
  readonly isServed: boolean
}

/** A checkpoint with the verified lines of its log, and no other lines. */
export interface LogSigned extends Shown {
  readonly checkpoint: Checkpoint
  /** The text of the checkpoint. */
  readonly text: string
  readonly signatures: readonly NoteSignature[]
  /** Both as a note. */
  readonly note: string
}

/** Puts together what was verified. */
export function logSigned(
  { text, signatures }: Pick<VerifiedNote, 'text' | 'signatures'>,
  shown: Shown,
): LogSigned {
  const { seenAtMs, isServed } = shown
  const note = formatNote({ text, signatures })
  return { checkpoint: parseCheckpoint(text), text, signatures, note, seenAtMs, isServed }
}

/**
 * Parses a stored note of a log. It is trusted only if the log's own signature verifies.
 *
 * @param where begins the error message
 * @throws SteleError `corrupt` if it is not such a note; `untrusted_signer` if no key of the log has signed it, for
 *   example because a key was removed from the list
 */
export function openStored(
  { note, ...shown }: SeenNote,
  { origin, keys }: WitnessedLog,
  where: string,
): LogSigned {
  try {
    const opened = logSigned(openNote(note, keys), shown)
    checkOriginOf(opened.checkpoint, origin)
    return opened
  } catch (cause) {
    if (hasCode(cause, 'untrusted_signer')) {
      const hint = 'a key that has signed what is stored must stay on the list of logs'
      throw new SteleError('untrusted_signer', `${where}: ${cause.message}; ${hint}`, { cause })
    }
    if (!(cause instanceof SteleError) || cause.code === 'internal') throw cause
    throw new SteleError('corrupt', `${where}: ${cause.message}`, { cause })
  }
}
