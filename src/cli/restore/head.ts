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

/** What the head of a restored log is made of. */
interface HeadParts {
  /** For messages. */
  readonly name: string
  readonly opened: OpenedCheckpoint
  readonly info: LogInfo
  readonly keys: PrivateKeys
  /** The tree head that the backup holds, of whatever size. */
  readonly treeHead: BackupDescription['treeHead']
  /** Timestamps that are known to have been signed. */
  readonly signedAtMs: readonly number[]
  readonly nowMs: number
  /** Of a log that has ended. */
  readonly final: FinalRecord | undefined
}

/**
 * The head under which a restored log goes on: the checkpoint with the log's own signatures as they were made then, and
 * the tree head of RFC 6962, if the backup has that as well. Else all keys that sign now sign anew, for the same size and
 * root hash, later than any head that is known. Either way it has the lines of all keys of its time.
 *
 * @throws SteleError `bad_signature`, `malformed` for a tree head that the backup has wrongly
 */
export async function restoredHead(parts: HeadParts): Promise<SignedHead> {
  const { info, keys, opened, signedAtMs, nowMs } = parts
  const final = parts.final ? { final: parts.final } : {}
  const kept = keptHead(parts)
  if (kept) return { ...kept, ...final }
  const { size, root } = opened.checkpoint
  // A clock that was set back must not date a head before the keys that sign it.
  const timestampMs = Math.max(nowMs, changedMs(info.keys), ...signedAtMs.map((ms) => ms + 1))
  return { ...(await headSigner(info, keys).sign({ size, root, timestampMs })), ...final }
}

/** The head of the backup, as it was signed; undefined if it is not all there. */
function keptHead({ name, opened, info, treeHead, signedAtMs }: HeadParts): SignedHead | undefined {
  const { size, root } = opened.checkpoint
  if (treeHead?.treeSize !== size || !equalBytes(parseHex(treeHead.rootHash, name), root)) return undefined
  const { timestampMs } = treeHead
  // RFC 6962 section 3.5: timestamps only grow, so one that an idle log has signed over since is not gone back to.
  if (signedAtMs.some((ms) => ms > timestampMs)) return undefined
  // Cosignatures are asked for anew; a stored head has the log's own lines alone.
  const checkpoint = formatNote({ text: opened.note.text, signatures: opened.note.signatures })
  const treeHeadSignature = parseBase64(treeHead.signature, `${name}: tree head`)
  const head = { size, root, timestampMs, checkpoint, treeHeadSignature }
  try {
    headVerifier(info)(head)
    return head
  } catch (error) {
    // Keys changed between the two parts of it, which were asked for one after the other.
    if (hasCode(error, 'untrusted_signer')) return undefined
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${name}: ${error.message}`, { cause: error })
  }
}

/**
 * The head that readers of a witnessed log are to see first: the restored one if its note has the cosignatures that the
 * policy asks for, else the one that was published when the backup was made.
 *
 * @param note of the restored head, with whatever cosignatures came along
 * @param kept the record of the published head that the backup has
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

/** A checkpoint with the lines that another note with the same text has besides. */
function withLinesOf(checkpoint: string, note: string): string {
  const { text, signatures } = parseNote(checkpoint)
  const more = parseNote(note).signatures.filter(
    ({ name, id }) => !signatures.some((line) => line.name === name && line.id === id),
  )
  return formatNote({ text, signatures: [...signatures, ...more] })
}

/** What the operator says of whether the log has ended. */
export interface EndingOptions {
  /** It has; a string is the URL of the log that goes on. */
  readonly frozen?: string | true
  /** It has not. */
  readonly notFrozen?: boolean
}

/** What somebody says of it: a backup, a head file, a server. */
export interface EndingWitness {
  readonly source: string
  readonly ending: EndingState
}

/**
 * Decides whether the restored log has ended. Whoever says that it has is believed, since a log that has ended never takes
 * an entry again. That it has not is believed of a backup, as of its moment, or of the operator; where neither says so, it
 * is not guessed.
 *
 * @param source what is restored, and what it says
 * @param others whoever else knows something
 * @returns the mark for its head; undefined for a log that takes entries
 * @throws SteleError `usage` where nobody knows, or the operator contradicts what is known
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
    throw new SteleError('usage', `${said.source}: it says that the log is frozen, and that has no end`)
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

/** Whoever says that it has ended, first of all one who names the successor. */
function frozenBy(
  witnesses: readonly EndingWitness[],
): { readonly source: string; readonly successor?: string | undefined } | undefined {
  const all = witnesses.flatMap(({ source, ending }) =>
    ending.frozen ? [{ source, successor: ending.successor }] : [],
  )
  return all.find(({ successor }) => successor !== undefined) ?? all[0]
}
