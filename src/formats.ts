/**
 * `stele/formats`: the formats of transparency logs, each as a pair that reads and writes, and the hashes that they are made of.
 * Runs in browsers. `parseX` reads and verifies no signature; `openX` verifies them first; `formatX` and `encodeX` write.
 */
export { hasCode, SteleError } from './errors.ts'
export type { Acknowledged, ErrorCode, SteleErrorOptions } from './errors.ts'
export { parseBase64, toBase64 } from './bytes/base64.ts'
export { parseHex, toHex } from './bytes/hex.ts'

// Hashes and proofs (RFC 6962, RFC 9162).
export { asHash, EMPTY_ROOT, HASH_BYTES, leafHash, nodeHash, sha256 } from './merkle/hash.ts'
export type { Hash } from './merkle/hash.ts'
export {
  rootFromInclusion,
  verifyConsistency,
  verifyInclusion,
  verifySubtreeConsistency,
} from './merkle/verify.ts'
export type { ConsistencyProof, InclusionPath, InclusionProof, SubtreeProof } from './merkle/verify.ts'

// Tiles and entry bundles (c2sp.org/tlog-tiles), and proofs out of them.
export { decodeBundle, encodeBundle, MAX_ENTRY_BYTES } from './tile/bundle.ts'
export { formatBundlePath, formatTilePath, parseTilePath, TILE_WIDTH } from './tile/path.ts'
export type { TileId, TileRequest } from './tile/path.ts'
export { TileHashes } from './tile/hashes.ts'
export { edgeTile, EMPTY_TREE, growTree, rebuildTree } from './tile/grow.ts'
export type { Edge, FullTile, Tree } from './tile/grow.ts'
export { proveConsistency, proveInclusion, proveSubtree, rootAt } from './tile/prove.ts'
export type { TileSource } from './tile/prove.ts'

// Signed notes and their keys (c2sp.org/signed-note).
export { formatNote, MAX_NOTE_BYTES, MAX_SIGNATURES, openNote, parseNote, signNote } from './note/note.ts'
export type {
  NoteSignature,
  NoteSigner,
  UnverifiedNote,
  VerifiedLines,
  VerifiedNote,
  VerifierKey,
} from './note/note.ts'
export {
  formatSigningKey,
  formatVerifierKey,
  generateSigningKey,
  parseSigningKey,
  parseVerifierKey,
  SigningKey,
} from './note/key.ts'
export { KEY_TYPE } from './note/key-id.ts'
export type { CosignerKeyType, KeyType } from './note/key-id.ts'

// Checkpoints (c2sp.org/tlog-checkpoint), proof files (c2sp.org/tlog-proof), rotations of keys.
export { formatCheckpoint, openCheckpoint, parseCheckpoint } from './note/checkpoint.ts'
export type { Checkpoint, LogIdentity, OpenedCheckpoint } from './note/checkpoint.ts'
export { formatProofFile, parseProofFile } from './note/proof-file.ts'
export type { ProofFile } from './note/proof-file.ts'
export {
  followRotations,
  formatRotation,
  openRotation,
  parseRotation,
  signRotation,
  splitRotations,
} from './note/rotation.ts'
export type { KeyRotation } from './note/rotation.ts'

// Cosignatures and requests to a witness (c2sp.org/tlog-cosignature, c2sp.org/tlog-witness).
export { cosignatureMessage, parseCosignature } from './note/cosignature.ts'
export type { Cosignature } from './note/cosignature.ts'
export { formatAddCheckpoint, parseAddCheckpoint } from './note/add-checkpoint.ts'
export type { AddCheckpoint, Submitted } from './note/add-checkpoint.ts'

// Tree heads (RFC 6962).
export { formatGetSth, parseGetSth } from './note/get-sth.ts'
export type { GetSthAnswer } from './note/get-sth.ts'
export { logId, treeHeadVerifier } from './note/tree-head.ts'
export type { SignedTreeHead, TreeHead } from './note/tree-head.ts'

// Policies (c2sp.org/tlog-policy).
export { parsePolicy } from './policy/parse.ts'
export { formatPolicy } from './policy/format.ts'
export { evaluatePolicy, openWithPolicy } from './policy/evaluate.ts'
export type { PolicyEvaluation, WitnessCosignature, WitnessedCheckpoint } from './policy/evaluate.ts'
export type { Policy, PolicyGroup, PolicyLog, PolicyWitness } from './policy/policy.ts'
export type { Missing, MissingGroup, MissingWitness, Quorum } from './policy/quorum.ts'
