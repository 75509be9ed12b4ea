import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { equalBytes } from '../bytes/bytes.ts'
import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { asHash, EMPTY_ROOT } from '../merkle/hash.ts'
import type { Hash } from '../merkle/hash.ts'
import { checkNoteText, openNote, parseNote } from './note.ts'
import type { VerifiedNote, VerifierKey } from './note.ts'

/** What a log states about its tree (c2sp.org/tlog-checkpoint). */
export interface Checkpoint {
  /** The log's name. Compared byte for byte, never taken apart. */
  readonly origin: string
  /** Number of leaves, 0 to 2^53 - 1. */
  readonly size: number
  /** Root hash at that size. */
  readonly root: Hash
  /** Further lines, without LF, none of them empty. This log writes none. */
  readonly extensions: readonly string[]
}

/** A checkpoint that a trusted key has signed. */
export interface OpenedCheckpoint {
  readonly checkpoint: Checkpoint
  /** The note that it stood in. */
  readonly note: VerifiedNote
  /** The keys that signed it, in the order of their lines. */
  readonly verifiedBy: readonly VerifierKey[]
}

/**
 * Reads the text of a checkpoint, which is the text of a note without its signatures. Verifies nothing: a size of 0
 * with a root other than the empty tree's is read, since a witness has an answer of its own for it.
 *
 * @returns what {@link formatCheckpoint} turns into the same text again
 * @throws SteleError `malformed`; `out_of_range` for a size above 2^53 - 1
 */
export function parseCheckpoint(text: string): Checkpoint {
  checkNoteText(text)
  const [origin, size, root, ...extensions] = text.slice(0, -1).split('\n')
  if (origin === undefined || size === undefined || root === undefined) {
    throw malformed(`checkpoint: expected origin, size and root hash on a line each, got ${excerpt(text)}`)
  }
  checkOrigin(origin)
  extensions.forEach((line, i) => checkExtension(line, `checkpoint line ${4 + i}`))
  return {
    origin,
    size: parseSize(size, 'checkpoint line 2'),
    root: asHash(parseBase64(root, 'checkpoint line 3'), 'checkpoint line 3'),
    extensions,
  }
}

/**
 * Writes the text of a checkpoint, to be signed.
 *
 * @throws SteleError `malformed` for an origin or extensions that {@link parseCheckpoint} would not read back
 */
export function formatCheckpoint(
  checkpoint: Omit<Checkpoint, 'extensions'> & { readonly extensions?: readonly string[] },
): string {
  const { origin, size, root, extensions = [] } = checkpoint
  for (const line of [origin, ...extensions]) {
    if (line.includes('\n')) throw malformed(`checkpoint: expected one line, got ${excerpt(line)}`)
  }
  checkOrigin(origin)
  extensions.forEach((line) => checkExtension(line, 'extension line'))
  const text = [origin, parseSize(String(size), 'size'), toBase64(root), ...extensions, ''].join('\n')
  checkNoteText(text)
  return text
}

/**
 * Opens a signed checkpoint: what comes back is about the log that was asked for, and a trusted key has signed it.
 * Nothing is known yet of how it relates to other checkpoints of that log.
 *
 * @param log.origin the one that is wanted
 * @param log.verifiers the log's own keys. A witness's key does not belong here: its signature would count as
 *   the log's
 * @throws SteleError `malformed`; `out_of_range` for a size above 2^53 - 1; `wrong_origin`; `untrusted_signer` and
 *   `bad_signature` as `openNote`; `bad_proof` for a signed size of 0 with a root other than the empty tree's
 */
export function openCheckpoint(
  note: string | Uint8Array,
  log: { readonly origin: string; readonly verifiers: readonly VerifierKey[] },
): OpenedCheckpoint {
  const unverified = parseNote(note)
  // In the order in which c2sp.org/tlog-witness has its answers: malformed, unknown origin, bad signature.
  const checkpoint = parseCheckpoint(unverified.text)
  if (checkpoint.origin !== log.origin) {
    throw new SteleError(
      'wrong_origin',
      `checkpoint: expected origin ${excerpt(log.origin)}, got ${excerpt(checkpoint.origin)}`,
    )
  }
  const verified = openNote(unverified, log.verifiers)
  if (checkpoint.size === 0 && !equalBytes(checkpoint.root, EMPTY_ROOT)) {
    throw new SteleError(
      'bad_proof',
      'checkpoint: size 0 is signed with another root than the empty tree has',
    )
  }
  return { checkpoint, note: verified, verifiedBy: verified.verifiedBy }
}

function checkOrigin(origin: string): void {
  if (origin === '') throw malformed('checkpoint line 1: expected an origin, got an empty line')
}

function checkExtension(line: string, where: string): void {
  if (line === '') throw malformed(`${where}: expected text, got an empty line`)
}

function malformed(message: string): SteleError {
  return new SteleError('malformed', message)
}
