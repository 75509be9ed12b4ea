import { concatBytes, equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { type ErrorCode, SteleError } from '../errors.ts'
import { asHash, type Hash, leafHash } from '../merkle/hash.ts'
import { rootFromInclusion } from '../merkle/verify.ts'
import { openCheckpoint } from '../note/checkpoint.ts'
import { parseCosignature } from '../note/cosignature.ts'
import { formatKeyId, KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { parseProofFile } from '../note/proof-file.ts'
import { followRotations } from '../note/rotation.ts'
import { treeHeadOfLine } from '../note/tree-head.ts'
import { openWithPolicy, type WitnessedCheckpoint } from '../policy/evaluate.ts'
import type { Policy } from '../policy/policy.ts'
import { policyWithRotations } from '../policy/rotations.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'

/** The proof to verify, and the keys that the caller trusts. */
export interface ProofCheck {
  /** A `.tlog-proof` file. */
  readonly proof: string | Uint8Array
  /** The entry, or its leaf hash, from the caller's own records: one of the two. */
  readonly entry?: Uint8Array
  readonly leafHash?: Uint8Array
  /** The log that the proof must be of. Without it, and without keys, one that the policy lists. */
  readonly origin?: string
  /** The log's keys; one good signature suffices, and one bad one by any of them is too many. */
  readonly verifierKeys?: readonly (string | VerifierKey)[]
  /** What old keys of the log say of new ones, as `v1/keys/rotations` serves it: those are believed, too. */
  readonly rotations?: string | Uint8Array | undefined
  /** The policy for cosignatures, besides the log's own signature. If absent, none are required. */
  readonly policy?: Policy
}

/** The entry is in the log. */
export interface ProofVerified {
  readonly verdict: 'verified'
  readonly origin: string
  readonly index: number
  readonly leafHash: Hash
  /** Size of the signed tree that the proof leads to. */
  readonly treeSize: number
  /** Names of the log's keys that signed that tree. */
  readonly signedBy: readonly string[]
  /** The lines by which they signed it. Most signatures of logs carry no time. */
  readonly signatures: readonly SignedLine[]
  /** What the policy calls the witnesses that cosigned it, with the times they say, in seconds since 1970. */
  readonly cosignedBy: readonly { readonly name: string; readonly timestampSeconds: number | undefined }[]
  /** Names on further lines, by keys that were not given: nothing is known of those. */
  readonly unverifiedNames: readonly string[]
}

/** A line of the log's own under the signed tree. */
export interface SignedLine {
  readonly name: string
  /** 8 hex digits. */
  readonly keyId: string
  /** When the log says that it signed, in milliseconds since 1970; undefined where the signature covers no time. */
  readonly timestampMs: number | undefined
}

/** Why a proof is refused. The list is closed. */
export type ProofFault =
  /** The file, or the checkpoint in it, does not follow its format. */
  | 'malformed'
  /** The checkpoint is of another log. */
  | 'wrong_log'
  /** No trusted key has signed the checkpoint. */
  | 'untrusted_signer'
  /** A line by a trusted key does not verify. */
  | 'bad_signature'
  /** The log has signed it, and fewer witnesses have cosigned it than the policy asks for. */
  | 'quorum_not_met'
  /** No entry could have this proof: an index outside the tree, or a path of another length than it has there. */
  | 'bad_proof'
  /** The proof does not lead from this entry to the signed root hash: it is another entry's, or a hash in it was changed. */
  | 'wrong_entry'

/** A proof that shows nothing. */
export interface ProofRefused {
  readonly verdict: ProofFault
  /** What was expected and what came. */
  readonly message: string
  /** For `wrong_entry`: what an editor did to the entry, if the proof holds for the bytes that it had before. */
  readonly editorChange?: string
}

// Codes that are not listed are no result about the proof, and are thrown.
const FAULTS: Partial<Readonly<Record<ErrorCode, ProofFault>>> = {
  malformed: 'malformed',
  out_of_range: 'malformed', // an index or size that no number here can hold
  wrong_origin: 'wrong_log',
  untrusted_signer: 'untrusted_signer',
  bad_signature: 'bad_signature',
  quorum_not_met: 'quorum_not_met',
  bad_proof: 'bad_proof',
}

/**
 * Verifies a proof file offline: with nothing but the entry and the log's key, years later if need be.
 *
 * @throws SteleError `usage` unless exactly one of entry and leaf hash is given; `malformed` for a leaf hash that
 *   is not 32 bytes or a verifier key that is none, and as `followRotations`: these are the caller's, not the proof's
 */
export function verifyProofFile(check: ProofCheck): ProofVerified | ProofRefused {
  const leaf = leafOf(check)
  const open = opener(check)
  try {
    return verify(check, leaf, open)
  } catch (error) {
    const verdict = error instanceof SteleError ? FAULTS[error.code] : undefined
    if (verdict === undefined) throw error
    return { verdict, message: (error as SteleError).message }
  }
}

/** Prepares the check of all required signatures. */
function opener({
  origin,
  verifierKeys,
  policy: listed,
  rotations = '',
}: ProofCheck): (note: string) => Opened {
  const policy = listed && policyWithRotations(listed, rotations)
  const keys = verifierKeys?.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
  if ((origin === undefined) !== (keys === undefined) || (!keys && !policy)) {
    throw new SteleError(
      'usage',
      'verifyProofFile: expected origin and verifier keys, or a policy, or all of them',
    )
  }
  const log = keys && {
    origin: origin!,
    verifiers: followRotations({ origin: origin!, verifiers: keys }, rotations),
  }
  if (policy) return (note) => openWithPolicy(note, policy, log)
  return (note) => ({ ...openCheckpoint(note, log!), cosignatures: [] })
}

type Opened = Pick<WitnessedCheckpoint, 'checkpoint' | 'note' | 'verifiedBy' | 'cosignatures'>

function verify(
  { proof, entry }: ProofCheck,
  leaf: Hash,
  open: (note: string) => Opened,
): ProofVerified | ProofRefused {
  const { index, path, checkpoint: note } = parseProofFile(proof)
  const opened = open(note)
  const { checkpoint, cosignatures } = opened
  const treeSize = checkpoint.size
  if (index >= treeSize) {
    return {
      verdict: 'bad_proof',
      message: `proof: expected an index below tree size ${treeSize}, got ${index}`,
    }
  }
  const rootFor = (hash: Hash) => rootFromInclusion({ index, size: treeSize, leaf: hash, path })
  const root = rootFor(leaf)
  if (!equalBytes(root, checkpoint.root)) {
    const holds = ({ before }: EditorChange) => equalBytes(rootFor(leafHash(before)), checkpoint.root)
    const saved = entry && editorChanges(entry).find(holds)
    if (saved) return savedByEditor(saved, index)
    const message =
      `proof: for the leaf hash ${toHex(leaf)} at index ${index} it leads to ${toHex(root)}, but the log signed ` +
      `${toHex(checkpoint.root)} at size ${treeSize}. It is the proof of another entry, or was changed`
    return { verdict: 'wrong_entry', message }
  }
  return {
    verdict: 'verified',
    origin: checkpoint.origin,
    index,
    leafHash: leaf,
    treeSize,
    signedBy: opened.verifiedBy.map(({ name }) => name),
    signatures: signedLines(opened),
    cosignedBy: cosignatures.map(({ witness, timestampSeconds }) => ({
      name: witness.name,
      timestampSeconds,
    })),
    unverifiedNames: opened.note.unverified.map(({ name }) => name),
  }
}

/** The file differs from the logged bytes, but only by the effect of an editor. */
function savedByEditor({ what, before }: EditorChange, index: number): ProofRefused {
  const message =
    `entry: this file is not what was logged, byte for byte, but only because it was saved again: ${what}. The proof ` +
    `holds for entry ${index} as it was logged, ${before.length} bytes`
  return { verdict: 'wrong_entry', message, editorChange: what }
}

function signedLines(opened: Opened): SignedLine[] {
  const { checkpoint, note, verifiedBy } = opened
  return note.verifiedBy.flatMap((key, i) => {
    const { name, id, signature } = note.signatures[i]!
    if (!verifiedBy.includes(key)) return []
    return [
      { name, keyId: formatKeyId(id), timestampMs: signedAtMs(checkpoint.origin, note.text, key, signature) },
    ]
  })
}

/** A log's Ed25519 signature covers no time; those of an RFC 6962 tree head and by an ML-DSA-44 key do. */
function signedAtMs(
  origin: string,
  text: string,
  { type }: VerifierKey,
  signature: Uint8Array,
): number | undefined {
  if (type === KEY_TYPE.treeHead) return treeHeadOfLine(origin, text, signature).timestampMs
  if (type !== KEY_TYPE.mlDsa44Cosignature) return undefined
  const { timestampSeconds } = parseCosignature(signature, type)
  return timestampSeconds === undefined ? undefined : timestampSeconds * 1000
}

function leafOf(check: ProofCheck): Hash {
  if ((check.entry === undefined) === (check.leafHash === undefined)) {
    throw new SteleError('usage', 'verifyProofFile: expected either an entry or a leaf hash')
  }
  return check.entry === undefined ? asHash(check.leafHash!, 'leaf hash') : leafHash(check.entry)
}

/** What an editor, or a copy from one system to another, may have done to a file, and what the file was before. */
interface EditorChange {
  /** For a sentence: "a line feed was added at its end". */
  readonly what: string
  readonly before: Uint8Array
}

const BOM = Uint8Array.of(0xef, 0xbb, 0xbf)
const CR = 0x0d
const LF = 0x0a
const CRLF = Uint8Array.of(CR, LF)

/**
 * Common accidental changes of a file, alone and together: a byte order mark before the text, other line ends, a line
 * end added at the end or removed. The fewest changes come first.
 *
 * @returns at most 23; none for a file that is longer than any entry could become
 */
function editorChanges(file: Uint8Array): EditorChange[] {
  if (file.length > 2 * MAX_ENTRY_BYTES + BOM.length) return []
  let all: readonly Undone[] = [{ before: file, done: [] }]
  for (const undo of [undoMark, undoLineEnds, undoLastLineEnd]) {
    all = all.flatMap(({ before, done }) => [
      { before, done },
      ...undo(before).map((each) => ({ before: each.before, done: [...done, each.what] })),
    ])
  }
  return all
    .filter(({ done }) => done.length > 0)
    .toSorted((a, b) => a.done.length - b.done.length)
    .map(({ before, done }) => ({ before, what: done.join(', and ') }))
}

interface Undone {
  readonly before: Uint8Array
  readonly done: readonly string[]
}

function undoMark(file: Uint8Array): EditorChange[] {
  return BOM.every((byte, i) => file[i] === byte)
    ? [{ what: 'a byte order mark (EF BB BF) was put before it', before: file.subarray(BOM.length) }]
    : [{ what: 'the byte order mark (EF BB BF) before it was taken away', before: concatBytes(BOM, file) }]
}

function undoLineEnds(file: Uint8Array): EditorChange[] {
  const withLf = file.filter((byte, i) => byte !== CR || file[i + 1] !== LF)
  const bare = file.reduce((count, byte, i) => count + (byte === LF && file[i - 1] !== CR ? 1 : 0), 0)
  const changes: EditorChange[] = []
  if (withLf.length < file.length) changes.push({ what: 'its line feeds became CRLF', before: withLf })
  if (bare > 0)
    changes.push({ what: 'its CRLF line ends became line feeds', before: withCrlf(file, file.length + bare) })
  return changes
}

function withCrlf(file: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  let at = 0
  for (const [i, byte] of file.entries()) {
    if (byte === LF && file[i - 1] !== CR) out[at++] = CR
    out[at++] = byte
  }
  return out
}

function undoLastLineEnd(file: Uint8Array): EditorChange[] {
  const changes: EditorChange[] = [
    { what: 'the line feed at its end was taken away', before: concatBytes(file, Uint8Array.of(LF)) },
    { what: 'the CRLF at its end was taken away', before: concatBytes(file, CRLF) },
  ]
  if (file.at(-1) !== LF) return changes
  const isCrlf = file.at(-2) === CR
  const what = isCrlf ? 'CRLF was added at its end' : 'a line feed was added at its end'
  return [{ what, before: file.subarray(0, file.length - (isCrlf ? 2 : 1)) }, ...changes]
}
