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

/** Whom the reader of an evidence file trusts to speak for the log. */
export interface EvidenceCheck {
  readonly evidence: string | Uint8Array
  readonly origin: string
  /** The log's keys, from elsewhere than the file. */
  readonly verifierKeys: readonly (string | VerifierKey)[]
}

/** What an evidence file shows, offline. */
export interface EvidenceJudged {
  /** `needs_log`: nothing in the file is wrong, but what it says cannot be confirmed from it alone. */
  readonly verdict: 'proven' | 'needs_log'
  /** What is proven; for `needs_log` what is claimed. */
  readonly kind: Evidence['kind']
  readonly origin: string
  /** Sizes of the heads, as the file has them. */
  readonly sizes: readonly number[]
  /** A sentence for each fact that signatures and hashes show. */
  readonly proven: readonly string[]
  /** A sentence for each thing that is left to be believed, or to be asked of the log. */
  readonly notProven: readonly string[]
}

/** Why an evidence file shows nothing. The list is closed. */
export type EvidenceFault =
  | 'malformed' // the file, or a checkpoint in it, does not follow its format
  | 'wrong_log' // it is about another log
  | 'untrusted_signer' // a head in it is not signed by the keys given
  | 'bad_signature' // a signature by one of them does not verify
  | 'bad_proof' // the proof in it does not lead to the larger head
  | 'no_contradiction' // the two heads go together

/** An evidence file that shows nothing. */
export interface EvidenceRefused {
  readonly verdict: EvidenceFault
  readonly message: string
}

// By default nothing is judged: a code that is not listed is thrown on.
const FAULTS: Partial<Readonly<Record<ErrorCode, EvidenceFault>>> = {
  malformed: 'malformed',
  out_of_range: 'malformed',
  wrong_origin: 'wrong_log',
  untrusted_signer: 'untrusted_signer',
  bad_signature: 'bad_signature',
  bad_proof: 'bad_proof',
}

/**
 * Judges an evidence file with nothing but the log's keys.
 *
 * Two root hashes at one size are a fork, and nothing else is needed. So are two sizes with a proof that the tree of the
 * larger head has another root hash at the smaller size: hashes cannot be bent to show that of an honest log. That a
 * smaller head was signed later shows only where the log's signatures carry a time.
 *
 * @throws SteleError `malformed` for a verifier key that is none, `usage` for one of a witness: the caller's mistake
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
    return { verdict: 'wrong_log', message: `evidence: expected one about ${origin}, got ${evidence.origin}` }
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

/** One head proves it: an honest log cannot sign another root hash for no leaves than the one there is. */
function judgeEmptyRoot(
  { kind, heads }: Evidence,
  origin: string,
  verifiers: readonly VerifierKey[],
): EvidenceJudged | EvidenceRefused {
  checkLogKeys(verifiers)
  const note = parseNote(heads[0].note)
  const checkpoint = parseCheckpoint(note.text)
  checkOriginOf(checkpoint, origin)
  // Not `openCheckpoint`, which refuses what is to be shown here.
  const { verifiedBy } = openNote(note, verifiers)
  const { size, root } = checkpoint
  if (size > 0 || equalBytes(root, EMPTY_ROOT)) {
    return agree(`a head of size ${size}, whose root hash is not wrong by itself`)
  }
  const wrong = `a tree of size 0 has root hash ${toHex(EMPTY_ROOT)} and no other`
  const proven = [signedSentence({ checkpoint, verifiedBy }), wrong]
  return { verdict: 'proven', kind, origin, sizes: [size], proven, notProven: [] }
}

/** The sentence that shows two histories, or why there is only one; undefined where the file cannot tell. */
function forkShown({ proof }: Evidence, pair: Pair): string | EvidenceRefused | undefined {
  const [older, newer] = bySize(pair).map(({ checkpoint }) => checkpoint)
  if (older!.size === newer!.size) {
    if (equalBytes(older!.root, newer!.root)) {
      return agree(`both heads are of size ${older!.size} and have the same root hash`)
    }
    return `the log signed two root hashes for one size, ${older!.size}: they cannot both be true`
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
    `but the log signed ${toHex(older!.root)} for that size: it does not extend what was signed`
  )
}

/** What two heads of different sizes show that may well be of one history. */
function judgeOrder(
  { kind, heads }: Evidence,
  pair: Pair,
  about: Pick<EvidenceJudged, 'origin' | 'sizes' | 'proven'>,
): EvidenceJudged | EvidenceRefused {
  const [older, newer] = bySize(pair)
  const [smallMs, largeMs] = [datedMs(older!), datedMs(newer!)]
  const unknown = `whether the two trees are of one history: that takes tiles or a consistency proof from the log`
  if (kind !== 'rollback') return { verdict: 'needs_log', kind, ...about, notProven: [unknown] }
  if (pair[0].checkpoint.size < pair[1].checkpoint.size)
    return agree('the head that is said to be the later one is the larger one: a log grows')
  if (smallMs !== undefined && largeMs !== undefined) {
    const [small, large] = [new Date(smallMs).toISOString(), new Date(largeMs).toISOString()]
    if (smallMs <= largeMs)
      return agree(`the smaller head is dated ${small}, the larger one ${large}: a log grows`)
    const order = `the log dated the larger head ${large} and the smaller one later, ${small}: it went back`
    return { verdict: 'proven', kind, ...about, proven: [...about.proven, order], notProven: [unknown] }
  }
  const word =
    `that the head of size ${about.sizes[1]} was shown at ${heads.at(-1)!.seenAt}, after the one of size ` +
    `${about.sizes[0]}: the signatures carry no time, so this is the word of who kept the file`
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

/** The time that the log itself signed, in milliseconds: only lines of RFC 6962 tree heads carry one. */
function datedMs({ checkpoint: { origin }, note, verifiedBy }: OpenedCheckpoint): number | undefined {
  const at = verifiedBy.findIndex(({ type }) => type === KEY_TYPE.treeHead)
  if (at < 0) return undefined
  return treeHeadOfLine(origin, note.text, note.signatures[at]!.signature).timestampMs
}

function agree(message: string): EvidenceRefused {
  return { verdict: 'no_contradiction', message: `evidence: ${message}` }
}
