import { parseBase64, toBase64 } from '../bytes/base64.ts'
import { equalBytes } from '../bytes/bytes.ts'
import { parseSize } from '../bytes/decimal.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { asHash, EMPTY_ROOT } from '../merkle/hash.ts'
import type { Hash } from '../merkle/hash.ts'
import { isLogKeyType, KEY_TYPE } from './key-id.ts'
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

/** The log that a checkpoint is wanted of. */
export interface LogIdentity {
  readonly origin: string
  /** Its own keys, of types that sign checkpoints: not 0x04. */
  readonly verifiers: readonly VerifierKey[]
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
 * @param log.verifiers the log's own keys. A witness's ML-DSA key does not belong here: its signature would count as
 *   the log's
 * @throws SteleError `malformed`; `out_of_range` for a size above 2^53 - 1; `wrong_origin`; `untrusted_signer` and
 *   `bad_signature` as `openNote`, and as {@link checkLogStatement}; `bad_proof` likewise; `usage` for a verifier key of
 *   type 0x04
 */
export function openCheckpoint(note: string | Uint8Array, log: LogIdentity): OpenedCheckpoint {
  checkLogKeys(log.verifiers)
  return openCopiedCheckpoint(note, log)
}

/**
 * Opens a checkpoint as {@link openCheckpoint}, under the keys of the mirror that serves a copy of the log: by its
 * cosignature a mirror states that it has stored this tree (c2sp.org/tlog-mirror). The log need not have signed.
 *
 * @param log.verifiers the mirror's keys, of any type
 * @throws SteleError as {@link openCheckpoint}
 */
export function openCopiedCheckpoint(note: string | Uint8Array, log: LogIdentity): OpenedCheckpoint {
  const unverified = parseNote(note)
  // In the order in which c2sp.org/tlog-witness has its answers: malformed, unknown origin, bad signature.
  const checkpoint = parseCheckpoint(unverified.text)
  checkOriginOf(checkpoint, log.origin)
  const verified = openNote(unverified, log.verifiers)
  checkLogStatement(checkpoint, verified.verifiedBy)
  return { checkpoint, note: verified, verifiedBy: verified.verifiedBy }
}

/**
 * Refuses keys of type 0x04 as a log's. Now that their lines verify, one given by mistake would let a witness speak for
 * the log.
 *
 * @throws SteleError `usage`
 */
export function checkLogKeys(verifiers: readonly VerifierKey[]): void {
  const cosigner = verifiers.find(({ type }) => !isLogKeyType(type))
  if (cosigner === undefined) return
  throw new SteleError(
    'usage',
    `checkpoint: expected a log's key, got the cosigner key of ${cosigner.name} (type 0x04), which a witness or a ` +
      `mirror signs with. Ask the log's operator for the key of the log; what asks for cosignatures is a policy`,
  )
}

/** @throws SteleError `wrong_origin` */
export function checkOriginOf(checkpoint: Checkpoint, origin: string): void {
  if (checkpoint.origin === origin) return
  throw new SteleError(
    'wrong_origin',
    `checkpoint: expected origin ${excerpt(origin)}, got ${excerpt(checkpoint.origin)}`,
  )
}

/**
 * Refuses a checkpoint whose signatures do not make it a valid statement of the log.
 *
 * @param verifiedBy the log's keys that signed
 * @throws SteleError `bad_proof` for a size of 0 with a root other than the empty tree's; `bad_signature` for extension
 *   lines where only ML-DSA-44 signed: those signatures do not cover them, so any party could have added them
 */
export function checkLogStatement(checkpoint: Checkpoint, verifiedBy: readonly VerifierKey[]): void {
  if (checkpoint.size === 0 && !equalBytes(checkpoint.root, EMPTY_ROOT)) {
    throw new SteleError(
      'bad_proof',
      'checkpoint: size 0 is signed with another root than the empty tree has',
    )
  }
  const isCovered = verifiedBy.some(({ type }) => type !== KEY_TYPE.mlDsa44Cosignature)
  if (checkpoint.extensions.length > 0 && !isCovered) {
    throw new SteleError('bad_signature', 'checkpoint: no signature of the log covers the extension lines')
  }
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
