import { FINDING_KINDS, type FindingKind } from '../../monitor/finding.ts'
import type { EvidenceFault, EvidenceJudged } from '../../monitor/evidence-verdict.ts'
import { EXIT_CODES } from '../exit-codes.ts'

/** The exit code of `monitor --once` for each kind of finding. Part of the command line's API, like all of them. */
export const FINDING_CODES: Readonly<Record<FindingKind, number>> = {
  fork: EXIT_CODES.fork,
  rollback: EXIT_CODES.rolled_back,
  unfrozen: 58,
  bad_signature: EXIT_CODES.bad_signature,
  bad_entry: EXIT_CODES.bad_proof,
  bad_tile: EXIT_CODES.bad_proof,
  unproven: EXIT_CODES.unauthenticated,
  access_denied: EXIT_CODES.unauthenticated,
  quorum_lost: EXIT_CODES.quorum_not_met,
  stale: 50,
  silent: 51,
  unreachable: EXIT_CODES.unreachable,
  match_timeout: 59,
  match: 52,
}

/** The exit code of `verify --evidence` for each verdict; 0 only if the file proves what it says. */
export const EVIDENCE_CODES: Readonly<Record<EvidenceFault | EvidenceJudged['verdict'], number>> = {
  proven: 0,
  needs_log: 53,
  no_contradiction: 54,
  malformed: EXIT_CODES.malformed,
  wrong_log: EXIT_CODES.wrong_origin,
  untrusted_signer: EXIT_CODES.untrusted_signer,
  bad_signature: EXIT_CODES.bad_signature,
  bad_proof: EXIT_CODES.bad_proof,
}

/** The gravest of the kinds found, matches left aside. */
export function gravest(kinds: readonly FindingKind[]): FindingKind | undefined {
  return FINDING_KINDS.find((kind) => kind !== 'match' && kinds.includes(kind))
}
