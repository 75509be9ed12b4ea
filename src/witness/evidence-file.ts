import { invariant } from '../errors.ts'
import { formatEvidence, type EvidenceHead } from '../monitor/evidence.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { Evidence } from './evidence.ts'
import type { Contradiction } from './judge.ts'

/** How the files name what a witness or a mirror found: as those of monitors do, so that one command judges both. */
const KINDS = {
  fork: 'fork',
  inconsistent: 'unproven',
  empty_root: 'empty_root',
  went_back: 'rollback',
} as const satisfies Record<Contradiction, string>

/** Evidence of a witness or a mirror as a file to hand on (`proto-docs/monitor.md`), which `stele verify --evidence` judges. */
export function formatWitnessEvidence(evidence: Evidence): string {
  const { kind, log, held, suspect, proof, heldAtMs, seenAtMs, heldUrl, suspectUrl } = evidence
  const about = { origin: log.origin, message: messageOf(evidence), keys: log.keys.map(formatVerifierKey) }
  const second = headOf(suspect, seenAtMs, suspectUrl)
  if (kind === 'empty_root') {
    return formatEvidence({ ...about, kind: 'empty_root', heads: [second], proof: undefined })
  }
  invariant(
    held !== undefined && heldAtMs !== undefined,
    `evidence of kind ${kind} speaks against a held head`,
  )
  return formatEvidence({
    ...about,
    kind: KINDS[kind],
    heads: [headOf(held, heldAtMs, heldUrl), second],
    proof,
  })
}

function headOf(note: string, seenAtMs: number, url: string | undefined): EvidenceHead {
  const seenAt = new Date(seenAtMs).toISOString()
  if (url === undefined) return { note, source: 'add-checkpoint', url: '', seenAt }
  return { note, source: 'checkpoint', url, seenAt }
}

function messageOf({ kind, proof, request }: Evidence): string {
  if (kind === 'empty_root') return 'a tree of size 0 was signed with another root hash than it can have'
  if (kind === 'inconsistent') {
    return (
      `a larger tree came with a proof from size ${request.oldSize} that does not hold. Anybody can send a wrong proof: ` +
      'ask the log for the right one'
    )
  }
  if (kind === 'went_back') return 'the log served a smaller tree, again and again, after a larger one'
  if (!proof) return 'two root hashes were signed for one size'
  return `a proof of the larger tree shows another root hash at size ${request.oldSize} than was signed`
}
