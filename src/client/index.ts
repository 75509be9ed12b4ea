/**
 * `stele/client`: submit to a log, read it, verify it. Runs in browsers. Whatever it returns has been verified,
 * or its name says `unverified`.
 */
export { openLogClient } from './log-client.ts'
export type { LogClient } from './log-client.ts'
export type { AppendOptions, CallOptions, LogClientOptions } from './log-client-options.ts'
export type { BatchReceipt, Receipt } from './append.ts'
export type { FollowEvent, FollowOptions, FollowState } from './follow.ts'
export { HeadConflict } from './heads.ts'
export type { VerifiedCheckpoint } from './heads.ts'
export type { ProvenConsistency, ProvenLeaf } from './prover.ts'
export type { VerifiedEntry } from './verified-entries.ts'

// The parts, for other ways to use them.
export { HttpFiles } from './http-files.ts'
export type { LogFiles } from './log-files.ts'
export { readEntries } from './verified-entries.ts'
export { VerifiedTiles } from './verified-tiles.ts'
export type { TileCache, TrustedHead } from './verified-tiles.ts'
export { Transport } from './transport.ts'
export type { Answer, Ask, Fetch, TransportOptions } from './transport.ts'
export type { Clock } from './clock.ts'

// Recomputing a whole log.
export { auditLog } from './audit.ts'
export type { AuditReport } from './audit.ts'
export type { AuditOptions } from './audit-options.ts'
export type { AuditFinding } from './audit-finding.ts'

// Verifying offline.
export { verifyProofFile } from './verify.ts'
export type { ProofCheck, ProofFault, ProofRefused, ProofVerified } from './verify.ts'
export { hasCode, SteleError } from '../errors.ts'
export type { ErrorCode } from '../errors.ts'
export { parseHex, toHex } from '../bytes/hex.ts'
export { parseBase64, toBase64 } from '../bytes/base64.ts'
export { asHash, leafHash } from '../merkle/hash.ts'
export type { Hash } from '../merkle/hash.ts'
export { verifyConsistency, verifyInclusion } from '../merkle/verify.ts'
export { openCheckpoint } from '../note/checkpoint.ts'
export type { Checkpoint, OpenedCheckpoint } from '../note/checkpoint.ts'
export { parseVerifierKey } from '../note/key.ts'
export type { VerifierKey } from '../note/note.ts'
export { followRotations, openRotation } from '../note/rotation.ts'
export type { KeyRotation } from '../note/rotation.ts'
export { parsePredecessorEntry, parseSuccessorEntry, verifySuccession } from './lineage.ts'
export type { PredecessorEntry, SuccessorEntry, Succession } from './lineage.ts'
export { evaluatePolicy, openWithPolicy } from '../policy/evaluate.ts'
export type { PolicyEvaluation, WitnessedCheckpoint } from '../policy/evaluate.ts'
export { parsePolicy } from '../policy/parse.ts'
export type { Policy } from '../policy/policy.ts'
export { formatProofFile, parseProofFile } from '../note/proof-file.ts'
export type { ProofFile } from '../note/proof-file.ts'
