import { equalBytes } from '../bytes/bytes.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { type ErrorCode, hasCode, SteleError } from '../errors.ts'
import { sha256 } from '../merkle/hash.ts'
import type { Submitted } from '../note/add-checkpoint.ts'
import { checkLogKeys, checkLogStatement } from '../note/checkpoint.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { type VerifiedNote, type VerifierKey, verifyLines } from '../note/note.ts'
import { MAX_NAME_BYTES } from '../note/subtree.ts'

/** A log that a witness cosigns for. */
export interface WitnessedLog {
  /** First line of its checkpoints; compared byte for byte. */
  readonly origin: string
  /** Its own keys: one signature by any of them makes a checkpoint the log's. */
  readonly keys: readonly VerifierKey[]
}

/** The name of a log in a witness's state and URLs: SHA-256 of the origin in lower-case hex. */
export function originHash(origin: string): string {
  return toHex(sha256(encodeUtf8(origin)))
}

/**
 * Refuses a list of logs with which a witness would sign something wrong, or could not sign.
 *
 * @param own the witness's public keys
 * @throws SteleError `usage`; `malformed` for an origin that is not a line of text
 */
export function checkLogs(logs: readonly WitnessedLog[], own: readonly VerifierKey[]): void {
  const origins = new Set<string>()
  for (const log of logs) {
    if (origins.has(log.origin)) throw unusable(log, 'it is there twice')
    origins.add(log.origin)
    checkLog(log, own)
  }
}

function checkLog(log: WitnessedLog, own: readonly VerifierKey[]): void {
  if (log.origin === '' || log.origin.includes('\n'))
    throw unusable(log, 'expected one line of text as its origin')
  if (log.keys.length === 0) throw unusable(log, 'expected a key, got none')
  checkLogKeys(log.keys)
  log.keys.forEach((key, i) => {
    const isThere = log.keys.slice(0, i).some((other) => claimsSameLines(key, other) || isSameKey(key, other))
    if (isThere) throw unusable(log, `the key of ${key.name} is there twice`)
    // ML-DSA-44 cosigners and logs sign the same bytes: our own cosignature would count as the log's signature.
    const isOurs = own.some((other) => isSameKey(key, other) || claimsSameLines(key, other))
    if (isOurs) throw unusable(log, `the key of ${key.name} is the witness's own`)
  })
  // The message of such a cosignature has one byte for the length of the origin.
  const originBytes = encodeUtf8(log.origin).length
  if (originBytes > MAX_NAME_BYTES && own.some(({ type }) => type === KEY_TYPE.mlDsa44Cosignature)) {
    throw unusable(
      log,
      `expected an origin of at most ${MAX_NAME_BYTES} bytes, which is all that ML-DSA-44 signs`,
    )
  }
}

function claimsSameLines(a: VerifierKey, b: VerifierKey): boolean {
  return a.name === b.name && a.id === b.id
}

function isSameKey(a: VerifierKey, b: VerifierKey): boolean {
  return equalBytes(a.publicKey, b.publicKey)
}

function unusable({ origin }: WitnessedLog, message: string): SteleError {
  return new SteleError('usage', `log ${excerpt(origin)}: ${message}`)
}

/** The text of a checkpoint and the log's lines on it that were verified. */
export type VerifiedLines = Pick<VerifiedNote, 'text' | 'signatures'>

/** The lines of the log on a checkpoint, or the reason why there is none. */
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
  // A wrong root hash at size 0 is checked later, because a conflict takes precedence.
  return refusal?.code === 'bad_signature' ? refusal : { text: note.text, signatures }
}

/** The result of `check`, or its error if it has one of these codes. */
export function refusalOr<T>(check: () => T, ...codes: ErrorCode[]): T | SteleError {
  try {
    return check()
  } catch (error) {
    if (hasCode(error, ...codes)) return error
    throw error
  }
}
