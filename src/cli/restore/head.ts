import { parseBase64 } from '../../bytes/base64.ts'
import { equalBytes } from '../../bytes/bytes.ts'
import { parseHex } from '../../bytes/hex.ts'
import { SteleError } from '../../errors.ts'
import { encodeHead, type SignedHead } from '../../log/head.ts'
import type { OpenedCheckpoint } from '../../note/checkpoint.ts'
import { formatNote } from '../../note/note.ts'
import { evaluatePolicy } from '../../policy/evaluate.ts'
import { parsePolicy } from '../../policy/parse.ts'
import { headVerifier, keySigner, type LogKeys } from '../../server/keys.ts'
import type { BackupDescription } from '../backup/description.ts'

/** What the head of a restored log is made of. */
export interface HeadParts {
  /** For messages. */
  readonly name: string
  readonly opened: OpenedCheckpoint
  readonly keys: LogKeys
  /** The tree head that the backup holds, of whatever size. */
  readonly treeHead: BackupDescription['treeHead']
  /** Timestamps that are known to have been signed. */
  readonly signedAtMs: readonly number[]
  readonly nowMs: number
}

/**
 * The head under which a restored log goes on: the checkpoint with the log's own signature as it was made then, and the
 * tree head of RFC 6962. That one is kept if the backup has it; else its key signs it anew, for the same size and root
 * hash, later than any that is known.
 *
 * @throws SteleError `bad_signature`, `malformed` for a tree head that the backup has wrongly
 */
export async function restoredHead(parts: HeadParts): Promise<SignedHead> {
  const { name, opened, keys, treeHead, signedAtMs, nowMs } = parts
  const { size, root, origin } = opened.checkpoint
  // Cosignatures are asked for anew; a stored head has the log's own line alone.
  const checkpoint = formatNote({ text: opened.note.text, signatures: opened.note.signatures })
  const latestMs = Math.max(0, ...signedAtMs)
  const isKept = treeHead?.treeSize === size && equalBytes(parseHex(treeHead.rootHash, name), root)
  // RFC 6962 section 3.5: timestamps only grow, so one that an idle log has signed over since is not gone back to.
  if (isKept && treeHead.timestampMs >= latestMs) {
    const { timestampMs } = treeHead
    const treeHeadSignature = parseBase64(treeHead.signature, `${name}: tree head`)
    const head = { size, root, timestampMs, checkpoint, treeHeadSignature }
    verify(head, origin, keys, name)
    return head
  }
  const timestampMs = Math.max(nowMs, latestMs + 1)
  const { treeHeadSignature } = await keySigner(origin, keys).sign({ size, root, timestampMs })
  return { size, root, timestampMs, checkpoint, treeHeadSignature }
}

function verify(head: SignedHead, origin: string, keys: LogKeys, name: string): void {
  try {
    headVerifier({ origin, verifierKey: keys.verifierKey, treeHeadKey: keys.treeHeadPublicKey })(head)
  } catch (error) {
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
  const cosigned = evaluatePolicy(parsePolicy(policy), note).quorum.met
  if (cosigned || !kept) return { record: encodeHead({ ...head, checkpoint: note }), cosigned }
  return { record: kept, cosigned: true }
}
