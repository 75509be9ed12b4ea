import { parseBase64 } from '../../bytes/base64.ts'
import { equalBytes } from '../../bytes/bytes.ts'
import { parseHex } from '../../bytes/hex.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { changedMs } from '../../instance/key-times.ts'
import { headSigner, headVerifier, type PrivateKeys } from '../../instance/keys.ts'
import type { LogInfo } from '../../instance/log-info.ts'
import { finalRecord } from '../../log/lifecycle.ts'
import { encodeHead, type FinalRecord, type SignedHead } from '../../log/head.ts'
import type { OpenedCheckpoint } from '../../note/checkpoint.ts'
import { formatNote, parseNote } from '../../note/note.ts'
import { evaluatePolicy } from '../../policy/evaluate.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { BackupDescription, EndingState } from '../backup/description.ts'

/** The inputs of a restored log's head. */
interface HeadParts {
  /** The name of the source, for messages. */
  readonly name: string
  readonly opened: OpenedCheckpoint
  readonly info: LogInfo
  readonly keys: PrivateKeys
  /** The tree head in the backup, of any size. */
  readonly treeHead: BackupDescription['treeHead']
  /** Timestamps that are known to be signed. */
  readonly signedAtMs: readonly number[]
  readonly nowMs: number
  /** Of a log that has ended. */
  readonly final: FinalRecord | undefined
}

/**
 * The head of a restored log. If the backup has the checkpoint and the RFC 6962 tree head of one tree, the head is both
 * as they were signed. Otherwise the current keys sign the same size and root hash again, later than any known head.
 * Either way it has the signature lines of all keys of its time.
 *
 * @throws SteleError `bad_signature`, `malformed` if the tree head in the backup is invalid
 */
export async function restoredHead(parts: HeadParts): Promise<SignedHead> {
  const { info, keys, opened, signedAtMs, nowMs } = parts
  const final = parts.final ? { final: parts.final } : {}
  const kept = keptHead(parts)
  if (kept) return { ...kept, ...final }
  const { size, root } = opened.checkpoint
  // With a clock that was set back, the head must not be dated before the keys that sign it.
  const timestampMs = Math.max(nowMs, changedMs(info.keys), ...signedAtMs.map((ms) => ms + 1))
  return { ...(await headSigner(info, keys).sign({ size, root, timestampMs })), ...final }
}

/** The head of the backup as it was signed; undefined if it is incomplete. */
function keptHead({ name, opened, info, treeHead, signedAtMs }: HeadParts): SignedHead | undefined {
  const { size, root } = opened.checkpoint
  if (treeHead?.treeSize !== size || !equalBytes(parseHex(treeHead.rootHash, name), root)) return undefined
  const { timestampMs } = treeHead
  // RFC 6962 section 3.5: timestamps only grow. An idle log may have re-signed its head with a later one.
  if (signedAtMs.some((ms) => ms > timestampMs)) return undefined
  // A stored head has only the log's own lines; cosignatures are requested again.
  const checkpoint = formatNote({ text: opened.note.text, signatures: opened.note.signatures })
  const treeHeadSignature = parseBase64(treeHead.signature, `${name}: tree head`)
  const head = { size, root, timestampMs, checkpoint, treeHeadSignature }
  try {
    headVerifier(info)(head)
    return head
  } catch (error) {
    // The keys changed between the reading of the two parts.
    if (hasCode(error, 'untrusted_signer')) return undefined
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${name}: ${error.message}`, { cause: error })
  }
}

/**
 * The first published head of a restored log with witnesses: the restored head if its note has the cosignatures that
 * the policy requires, otherwise the head that was published when the backup was made.
 *
 * @param note the restored head, with any cosignatures
 * @param kept the record of the published head in the backup
 */
export function publishedRecord(
  policy: string,
  head: SignedHead,
  note: string,
  kept: Uint8Array | undefined,
): { record: Uint8Array; cosigned: boolean } {
  const checkpoint = withLinesOf(head.checkpoint, note)
  const cosigned = evaluatePolicy(parsePolicy(policy), checkpoint).quorum.met
  if (cosigned || !kept) return { record: encodeHead({ ...head, checkpoint }), cosigned }
  return { record: kept, cosigned: true }
}

/** Adds the signature lines that another note with the same text has. */
function withLinesOf(checkpoint: string, note: string): string {
  const { text, signatures } = parseNote(checkpoint)
  const more = parseNote(note).signatures.filter(
    ({ name, id }) => !signatures.some((line) => line.name === name && line.id === id),
  )
  return formatNote({ text, signatures: [...signatures, ...more] })
}

/** What the operator says about the log's end. */
export interface EndingOptions {
  /** The log has ended; a string is the URL of the successor. */
  readonly frozen?: string | true
  /** The log has not ended. */
  readonly notFrozen?: boolean
}

/** A source that states whether the log has ended: a backup, a head file, a server. */
export interface EndingWitness {
  readonly source: string
  readonly ending: EndingState
}

/**
 * Decides whether the restored log has ended. Any source that says so is believed, since an ended log must never accept
 * an entry again. That the log has not ended is believed only from the backup, for its time, or from the operator.
 * Without either it is an error.
 *
 * @param source what is restored, and its statement
 * @param others further statements
 * @returns the record for its head; undefined for a log that accepts entries
 * @throws SteleError `usage` if the state is unknown, or the operator contradicts a known end
 */
export function restoredEnding(
  source: { readonly name: string; readonly ending: EndingState | undefined },
  others: readonly EndingWitness[],
  { frozen, notFrozen = false }: EndingOptions,
): FinalRecord | undefined {
  if (frozen !== undefined && notFrozen)
    throw new SteleError('usage', '--frozen and --not-frozen: expected one')
  const own = source.ending ? [{ source: source.name, ending: source.ending }] : []
  const said = frozenBy([...own, ...others])
  if (said && notFrozen) {
    throw new SteleError('usage', `${said.source}: it says that the log is frozen, which cannot be undone`)
  }
  const asked = typeof frozen === 'string' ? finalRecord(frozen) : {}
  if (said) return finalRecord(said.successor ?? asked.successor)
  if (frozen !== undefined) return asked
  if (notFrozen || source.ending?.frozen === false) return undefined
  throw new SteleError(
    'usage',
    `${source.name}: it does not say whether the log was frozen, and a frozen log must never take entries again. Say ` +
      `--frozen [successor's URL], or --not-frozen`,
  )
}

/** A statement that the log has ended, preferably one that names the successor. */
function frozenBy(
  witnesses: readonly EndingWitness[],
): { readonly source: string; readonly successor?: string | undefined } | undefined {
  const all = witnesses.flatMap(({ source, ending }) =>
    ending.frozen ? [{ source, successor: ending.successor }] : [],
  )
  return all.find(({ successor }) => successor !== undefined) ?? all[0]
}
