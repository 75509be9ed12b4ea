import { toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { hasCode, type SteleError } from '../errors.ts'
import { sha256, type Hash } from '../merkle/hash.ts'
import { consistencyRanges, foldNodes } from '../merkle/range.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { parseCheckpoint, type Checkpoint } from '../note/checkpoint.ts'
import { parseNote } from '../note/note.ts'
import type { Contradiction } from './judge.ts'
import { originHash } from './logs.ts'
import type { WitnessedLog } from './logs.ts'
import type { AddCheckpoint } from '../note/add-checkpoint.ts'

/** The complete evidence against a log. It can be checked with the log's key alone, without this witness. */
export interface Evidence {
  readonly kind: Contradiction
  readonly log: WitnessedLog
  /** The note that this witness cosigned last, with the log's signatures and its own; undefined if there is none. */
  readonly held: string | undefined
  /** The note that contradicts it, with the log's signatures that were verified and no others. */
  readonly suspect: string
  /** The proof that came with it, which for `inconsistent` does not hold and shows nothing. */
  readonly request: Pick<AddCheckpoint, 'oldSize' | 'path'>
  /** For a fork of two sizes. */
  readonly proof?: PrefixShown | undefined
  /** When the held one was cosigned, and when the other came. Milliseconds since 1970. */
  readonly heldAtMs?: number | undefined
  readonly seenAtMs: number
  /** URLs of the log that served them; undefined for checkpoints that a caller sent. */
  readonly heldUrl?: string | undefined
  readonly suspectUrl?: string | undefined
}

/** Shows which root hash the suspect's tree has at the size of the held one, which is another. */
export interface PrefixShown {
  readonly olderRoot: Hash
  /** The consistency proof (RFC 6962 section 2.1.2) from that root hash to the suspect's. */
  readonly path: readonly Hash[]
}

/** What became of a piece of evidence. */
export type Kept = 'kept' | 'known' | 'full'

/** Keeps evidence, within limits, since callers choose what they send. */
export interface EvidenceKeeper {
  /**
   * Resolves with `kept` once it is durable, with `known` if it was before, and with `full` if it is not kept because
   * there is so much of this kind about this log.
   *
   * @throws SteleError `io_error`
   */
  keep(evidence: Evidence): Promise<Kept>
}

/** Events for the operator of a witness or mirror. */
export interface EvidenceEvents {
  /** A log contradicted itself. @param kept what became of it, or why it could not be kept */
  contradiction(evidence: Evidence, kept: Kept | SteleError): void
}

/**
 * Keeps what was found, and says so. That a disk is full must not change the answer that is given meanwhile.
 *
 * @param found of kind `inconsistent` it is a fork if its proof shows so by itself
 */
export async function keepEvidence(
  keeper: EvidenceKeeper,
  events: EvidenceEvents,
  found: Evidence,
): Promise<void> {
  const evidence = withProof(found)
  try {
    events.contradiction(evidence, await keeper.keep(evidence))
  } catch (error) {
    // The answer stands; that there was something to keep is said as loudly as it can be.
    if (!hasCode(error, 'io_error')) throw error
    events.contradiction(evidence, error)
  }
}

/**
 * Classifies inconsistent checkpoints as `fork` if a proof of the contradiction is at hand. Wrong proofs, which any
 * caller can send, then cannot displace such evidence.
 */
function withProof(found: Evidence): Evidence {
  if (found.kind !== 'inconsistent') return found
  const proof = found.proof ?? shownByProof(found.request, parseCheckpoint(parseNote(found.suspect).text))
  return proof ? { ...found, kind: 'fork', proof } : found
}

/**
 * The name of a piece of evidence, from its two signed texts, so that the same evidence is kept once. Signatures and
 * proofs are not part of it, because any number of them can be made.
 *
 * @returns `<origin hash>-<kind>-<digest>`, 16 hex digits each
 */
export function evidenceName({ kind, log, held, suspect }: Evidence): string {
  const texts = [held === undefined ? '' : parseNote(held).text, parseNote(suspect).text]
  const digest = toHex(sha256(encodeUtf8(texts.join('\n'))))
  return `${evidencePrefix(log.origin, kind)}${digest.slice(0, 16)}`
}

/** What the names of all evidence of one kind about one log begin with. */
export function evidencePrefix(origin: string, kind: Contradiction): string {
  return `${originHash(origin).slice(0, 16)}-${kind}-`
}

/**
 * What a failed proof shows by itself. A log with two histories sends the honest proof of the second one, which leads
 * to the second head from a root hash that the log never signed for that size. Such a proof cannot be forged for an
 * honest log.
 *
 * @param oldSize of the held head, whose root hash the proof does not lead from
 * @param suspect the larger tree
 * @returns undefined if nothing is shown: for a proof that does not lead to the larger tree, and for sizes (powers of
 *   two) whose root hash is not part of the proof
 */
export function shownByProof(
  { oldSize, path }: Pick<AddCheckpoint, 'oldSize' | 'path'>,
  suspect: Pick<Checkpoint, 'size' | 'root'>,
): PrefixShown | undefined {
  const ranges = consistencyRanges(oldSize, suspect.size)
  if (path.length !== ranges.length) return undefined
  const parts = ranges.map(({ begin, end }, i) => ({ begin, end, hash: path[i]! }))
  const older = parts.filter(({ end }) => end <= oldSize).toSorted((a, b) => a.begin - b.begin)
  if (older.length === 0) return undefined
  const olderRoot = foldNodes(older.map(({ hash }) => hash))
  try {
    verifyConsistency({ oldSize, newSize: suspect.size, oldRoot: olderRoot, newRoot: suspect.root, path })
    return { olderRoot, path }
  } catch (error) {
    if (hasCode(error, 'bad_proof')) return undefined
    throw error
  }
}
