import type { VerifiedCheckpoint } from '../client/index.ts'
import { hasCode } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { formatEvidence, type Ending, type Evidence, type EvidenceHead } from './evidence.ts'
import type { FindingDetail } from './finding.ts'
import type { PrefixProof } from './judge.ts'
import type { MonitorStore } from './state.ts'

/** A verified head, and where it was read. */
export interface ShownHead extends Omit<EvidenceHead, 'note' | 'seenAt'> {
  readonly head: VerifiedCheckpoint
  readonly seenMs: number
}

/** Contradictory heads, the one seen first in front, with a description. */
export interface Conflict {
  readonly kind: Evidence['kind']
  readonly heads: readonly [ShownHead, ShownHead] | readonly [ShownHead]
  readonly proof?: PrefixProof | undefined
  readonly ending?: Ending | undefined
  readonly message: string
}

/**
 * Writes the evidence of a conflict once its finding has an id.
 *
 * @returns details for the finding: where the evidence file is. If it could not be written, the details contain the
 *   heads themselves.
 */
export function evidenceKeeper(
  store: MonitorStore,
  log: { readonly origin: string; readonly verifiers: readonly VerifierKey[] },
  treeHeadVkey: string | undefined,
  conflict: Conflict,
): (id: string) => Promise<FindingDetail> {
  const keys = log.verifiers.map(formatVerifierKey)
  if (treeHeadVkey !== undefined) keys.push(treeHeadVkey)
  const [first, second] = conflict.heads.map(({ head, seenMs, source, url }) => {
    return { note: head.note, source, url, seenAt: new Date(seenMs).toISOString() }
  })
  const { kind, message, proof, ending } = conflict
  const heads = second ? ([first!, second] as const) : ([first!] as const)
  const evidence: Evidence = { kind, origin: log.origin, keys, heads, proof, ending, message }
  return async (id) => {
    try {
      return { evidence: await store.keepEvidence(id, formatEvidence(evidence)) }
    } catch (error) {
      if (!hasCode(error, 'io_error')) throw error
      const shown = { evidenceNotKept: error.message, firstHead: first!.note }
      return second ? { ...shown, secondHead: second.note } : shown
    }
  }
}
