import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError, type ErrorCode } from '../errors.ts'
import { EMPTY_ROOT } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import {
  checkLogKeys,
  checkOriginOf,
  openCheckpoint,
  parseCheckpoint,
  type OpenedCheckpoint,
} from '../note/checkpoint.ts'
import { KEY_TYPE } from '../note/key-id.ts'
import { parseVerifierKey } from '../note/key.ts'
import { openNote, parseNote, type VerifierKey } from '../note/note.ts'
import { treeHeadOfLine } from '../note/tree-head.ts'
import { parseEvidence, type Evidence } from './evidence.ts'
import { judgeUnfrozen } from './unfrozen-verdict.ts'

/** The log's keys, as the reader of an evidence file trusts them. */
export interface EvidenceCheck {
  readonly evidence: string | Uint8Array
  readonly origin: string
  /** The log's keys, from a source other than the file. */
  readonly verifierKeys: readonly (string | VerifierKey)[]
}

/** What an evidence file shows without asking the log. */
export interface EvidenceJudged {
  /** `needs_log`: the file is consistent, but its claim cannot be confirmed from the file alone. */
  readonly verdict: 'proven' | 'needs_log'
  /** What is proven; for `needs_log`, what is claimed. */
  readonly kind: Evidence['kind']
  readonly origin: string
  /** Sizes of the heads, in the order of the file. */
  readonly sizes: readonly number[]
  /** One sentence for each fact that signatures and hashes prove. */
  readonly proven: readonly string[]
  /** One sentence for each claim that the file does not prove. */
  readonly notProven: readonly string[]
}

/** Why an evidence file shows nothing. This list is closed. */
export type EvidenceFault =
  | 'malformed' // the file, or a checkpoint in it, does not follow its format
  | 'wrong_log' // it is about another log
  | 'untrusted_signer' // a head in it is not signed by the keys given
  | 'bad_signature' // a signature by one of them does not verify
  | 'bad_proof' // the proof in it does not lead to the larger head
  | 'no_contradiction' // the two heads do not contradict each other

/** The result for an evidence file that shows nothing. */
export interface EvidenceRefused {
  readonly verdict: EvidenceFault
  readonly message: string
}

// Codes that are not listed are thrown on.
const FAULTS: Partial<Readonly<Record<ErrorCode, EvidenceFault>>> = {
  malformed: 'malformed',
  out_of_range: 'malformed',
  wrong_origin: 'wrong_log',
  untrusted_signer: 'untrusted_signer',
  bad_signature: 'bad_signature',
  bad_proof: 'bad_proof',
}

/**
 * Checks an evidence file with the log's keys alone, offline.
 *
 * Two root hashes for one size prove a fork. So do two sizes with a proof that the tree of the larger head has another
 * root hash at the smaller size: for the tree of an honest log, such a proof would need a hash collision. The order in
 * which two heads were signed is only proven if the log's signatures carry a time.
 *
 * @throws SteleError `malformed` for an invalid verifier key, `usage` for the key of a witness: mistakes of the caller
 */
export function verifyEvidence(check: EvidenceCheck): EvidenceJudged | EvidenceRefused {
  const keys = check.verifierKeys.map((key) => (typeof key === 'string' ? parseVerifierKey(key) : key))
  try {
    return judge(parseEvidence(check.evidence), check.origin, keys)
  } catch (error) {
    const verdict = error instanceof SteleError ? FAULTS[error.code] : undefined
    if (verdict === undefined) throw error
    return { verdict, message: (error as SteleError).message }
  }
}

function judge(
  evidence: Evidence,
  origin: string,
  verifiers: readonly VerifierKey[],
): EvidenceJudged | EvidenceRefused {
  if (evidence.origin !== origin) {
    return {
      verdict: 'wrong_log',
      message: `evidence: expected evidence about ${origin}, got ${evidence.origin}`,
    }
  }
  if (evidence.kind === 'empty_root') return judgeEmptyRoot(evidence, origin, verifiers)
  if (evidence.kind === 'unfrozen') return judgeUnfrozen(evidence, { origin, verifiers })
  const [first, second] = evidence.heads.map(({ note }) => openCheckpoint(note, { origin, verifiers }))
  const pair = [first!, second!] as const
  const sizes = [first!.checkpoint.size, second!.checkpoint.size]
  const proven = pair.map(signedSentence)
  const about = { origin, sizes }
  const fork = forkShown(evidence, pair)
  if (typeof fork === 'object') return fork
  if (fork !== undefined) {
    return { verdict: 'proven', kind: 'fork', ...about, proven: [...proven, fork], notProven: [] }
  }
  return judgeOrder(evidence, pair, { ...about, proven })
}

/** One head is proof: the empty tree has one root hash, and an honest log signs no other for size 0. */
function judgeEmptyRoot(
  { kind, heads }: Evidence,
  origin: string,
  verifiers: readonly VerifierKey[],
): EvidenceJudged | EvidenceRefused {
  checkLogKeys(verifiers)
  const note = parseNote(heads[0].note)
  const checkpoint = parseCheckpoint(note.text)
  checkOriginOf(checkpoint, origin)
  // Not `openCheckpoint`, which refuses the head that is to be shown here.
  const { verifiedBy } = openNote(note, verifiers)
  const { size, root } = checkpoint
  if (size > 0 || equalBytes(root, EMPTY_ROOT)) {
    return agree(`the head of size ${size} does not have a wrong root hash for an empty tree`)
  }
  const wrong = `a tree of size 0 can only have root hash ${toHex(EMPTY_ROOT)}`
  const proven = [signedSentence({ checkpoint, verifiedBy }), wrong]
  return { verdict: 'proven', kind, origin, sizes: [size], proven, notProven: [] }
}

/** The sentence that proves two histories, or why there is only one; undefined if the file proves neither. */
function forkShown({ proof }: Evidence, pair: Pair): string | EvidenceRefused | undefined {
  const [older, newer] = bySize(pair).map(({ checkpoint }) => checkpoint)
  if (older!.size === newer!.size) {
    if (equalBytes(older!.root, newer!.root)) {
      return agree(`both heads are of size ${older!.size} and have the same root hash`)
    }
    return `the log signed two root hashes for size ${older!.size}, and at most one of them can be right`
  }
  if (!proof) return undefined
  verifyConsistency({
    oldSize: older!.size,
    newSize: newer!.size,
    oldRoot: proof.olderRoot,
    newRoot: newer!.root,
    path: proof.path,
  })
  const shown = toHex(proof.olderRoot)
  if (equalBytes(proof.olderRoot, older!.root)) {
    return agree(
      `the tree of size ${newer!.size} has root hash ${shown} at size ${older!.size}, as was signed`,
    )
  }
  return (
    `the tree of size ${newer!.size} has root hash ${shown} at size ${older!.size}, as its consistency proof shows, ` +
    `but the log signed ${toHex(older!.root)} for that size, so the larger tree does not extend it`
  )
}

/** The result for two heads of different sizes that may belong to one history. */
function judgeOrder(
  { kind, heads }: Evidence,
  pair: Pair,
  about: Pick<EvidenceJudged, 'origin' | 'sizes' | 'proven'>,
): EvidenceJudged | EvidenceRefused {
  const [older, newer] = bySize(pair)
  const [smallMs, largeMs] = [datedMs(older!), datedMs(newer!)]
  const unknown = `whether the two trees are of one history: this needs tiles or a consistency proof from the log`
  if (kind !== 'rollback') return { verdict: 'needs_log', kind, ...about, notProven: [unknown] }
  if (pair[0].checkpoint.size < pair[1].checkpoint.size)
    return agree('the later of the two heads is also the larger one, as in any log that grows')
  if (smallMs !== undefined && largeMs !== undefined) {
    const [small, large] = [new Date(smallMs).toISOString(), new Date(largeMs).toISOString()]
    if (smallMs <= largeMs)
      return agree(`the smaller head is dated ${small}, the larger one ${large}, as in any log that grows`)
    const order = `the log dated the larger head ${large} and the smaller one later, ${small}: the log was rolled back`
    return { verdict: 'proven', kind, ...about, proven: [...about.proven, order], notProven: [unknown] }
  }
  const word =
    `that the head of size ${about.sizes[1]} was shown at ${heads.at(-1)!.seenAt}, after the one of size ` +
    `${about.sizes[0]}: the signatures carry no time, so only the author of the file says so`
  return { verdict: 'needs_log', kind, ...about, notProven: [word, unknown] }
}

type Pair = readonly [OpenedCheckpoint, OpenedCheckpoint]

function bySize(pair: Pair): OpenedCheckpoint[] {
  return pair.toSorted((a, b) => a.checkpoint.size - b.checkpoint.size)
}

function signedSentence({
  checkpoint: { size, root },
  verifiedBy,
}: Pick<OpenedCheckpoint, 'checkpoint' | 'verifiedBy'>): string {
  return `${verifiedBy.map(({ name }) => name).join(', ')} signed size ${size} with root hash ${toHex(root)}`
}

/** The time that the log itself signed, in milliseconds. Only signatures of RFC 6962 tree heads carry one. */
function datedMs({ checkpoint: { origin }, note, verifiedBy }: OpenedCheckpoint): number | undefined {
  const at = verifiedBy.findIndex(({ type }) => type === KEY_TYPE.treeHead)
  if (at < 0) return undefined
  return treeHeadOfLine(origin, note.text, note.signatures[at]!.signature).timestampMs
}

function agree(message: string): EvidenceRefused {
  return { verdict: 'no_contradiction', message: `evidence: ${message}` }
}
