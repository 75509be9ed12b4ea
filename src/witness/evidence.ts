import { toBase64 } from '../bytes/base64.ts'
import { toHex } from '../bytes/hex.ts'
import { encodeUtf8 } from '../bytes/text.ts'
import { hasCode } from '../errors.ts'
import type { SteleError } from '../errors.ts'
import { sha256 } from '../merkle/hash.ts'
import { formatVerifierKey } from '../note/key.ts'
import { parseNote } from '../note/note.ts'
import type { Contradiction } from './judge.ts'
import { originHash } from './logs.ts'
import type { WitnessedLog } from './logs.ts'
import type { AddCheckpoint } from './request.ts'

/** What speaks against a log, complete: whoever has the log's key can check it without this witness. */
export interface Evidence {
  readonly kind: Contradiction
  readonly log: WitnessedLog
  /** The note that this witness cosigned last, with the log's signatures and its own; undefined if there is none. */
  readonly held: string | undefined
  /** The note that contradicts it, with the log's signatures that were verified and no others. */
  readonly suspect: string
  /** The proof that came with it, which for `inconsistent` does not hold. */
  readonly request: Pick<AddCheckpoint, 'oldSize' | 'path'>
  /** Milliseconds since 1970. */
  readonly seenAtMs: number
}

/** What became of a piece of evidence. */
export type Kept = 'kept' | 'known' | 'full'

/** Keeps evidence, within bounds: what is sent to a witness is anybody's choice. */
export interface EvidenceKeeper {
  /**
   * Resolves with `kept` once it is durable, with `known` if it was before, and with `full` if it is not kept because
   * there is so much of this kind about this log.
   *
   * @throws SteleError `io_error`
   */
  keep(evidence: Evidence): Promise<Kept>
}

/** What is told to the operator of whoever keeps evidence. */
export interface EvidenceEvents {
  /** A log contradicted itself. @param kept what became of it, or why it could not be kept */
  contradiction(evidence: Evidence, kept: Kept | SteleError): void
}

/** Keeps evidence and says so. That a disk is full must not change the answer that is given meanwhile. */
export async function keepEvidence(
  keeper: EvidenceKeeper,
  events: EvidenceEvents,
  evidence: Evidence,
): Promise<void> {
  try {
    events.contradiction(evidence, await keeper.keep(evidence))
  } catch (error) {
    // The answer stands; that there was something to keep is said as loudly as it can be.
    if (!hasCode(error, 'io_error')) throw error
    events.contradiction(evidence, error)
  }
}

/**
 * Names evidence by what it says, so that the same is kept once: two signed texts, and not the signatures or proofs that
 * came with them, of which anybody can make any number.
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

/** Evidence as a file to hand on: JSON, described in `proto-docs/witness.md`. */
export function formatEvidence({ kind, log, held, suspect, request, seenAtMs }: Evidence): string {
  const value = {
    format: 'stele witness evidence',
    version: 1,
    kind,
    origin: log.origin,
    verifierKeys: log.keys.map(formatVerifierKey),
    held: held ?? null,
    suspect,
    oldSize: request.oldSize,
    path: request.path.map(toBase64),
    seenAt: new Date(seenAtMs).toISOString(),
  }
  return `${JSON.stringify(value, null, 2)}\n`
}
