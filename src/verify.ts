/**
 * `stele/verify`: judge what a log handed out, offline, with the log's verifier key alone. Runs in browsers. Nothing is fetched.
 */
export { verifyProofFile } from './client/verify.ts'
export type { ProofCheck, ProofFault, ProofRefused, ProofVerified, SignedLine } from './client/verify.ts'
export type { Ending, Evidence, EvidenceHead } from './monitor/evidence.ts'
export type { PrefixProof } from './monitor/judge.ts'
export { verifyEvidence } from './monitor/evidence-verdict.ts'
export type {
  EvidenceCheck,
  EvidenceFault,
  EvidenceJudged,
  EvidenceRefused,
} from './monitor/evidence-verdict.ts'

// What the caller trusts.
export { parseVerifierKey } from './note/key.ts'
export type { VerifierKey } from './note/note.ts'
export { parsePolicy } from './policy/parse.ts'
export type { Policy, PolicyGroup, PolicyLog, PolicyWitness } from './policy/policy.ts'
export { hasCode, SteleError } from './errors.ts'
export type { Acknowledged, ErrorCode, SteleErrorOptions } from './errors.ts'
export type { Hash } from './merkle/hash.ts'
