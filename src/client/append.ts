import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { parseProofFile } from '../note/proof-file.ts'
import { encodeBundle, MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import {
  fromLog,
  maxBatchAnswerBytes,
  MAX_RECEIPT_BYTES,
  parseBatchAnswer,
  parseEntryAnswer,
} from './answers.ts'
import type { Heads, VerifiedCheckpoint } from './heads.ts'
import { checkLeaves, proveLeaf, type ProvenLeaf } from './prover.ts'
import type { RetryLimits } from './retry.ts'
import type { Sender } from './sender.ts'

/** An entry that was proved to be in the log. */
export interface Receipt extends ProvenLeaf {
  /** The log says that it had these bytes already. */
  readonly unverifiedDuplicate: boolean
}

/** Entries that were seen in the log's tree. */
export interface BatchReceipt {
  /** The index of every entry, in the order of the batch. */
  readonly indexes: readonly number[]
  readonly leafHashes: readonly Hash[]
  /** The signed tree that they were seen in. */
  readonly checkpoint: VerifiedCheckpoint
  /** Places in the batch of entries that the log says it had already. */
  readonly unverifiedDuplicates: readonly number[]
}

/** What appending needs. */
export interface Appending {
  readonly sender: Sender
  readonly heads: Heads
  /** A verified head of at least this size; waits for it to be published. */
  headOfSize(size: number, limits: RetryLimits): Promise<VerifiedCheckpoint>
}

/** How one call appends. */
export interface AppendLimits extends RetryLimits {
  readonly repeatInDoubt?: boolean | undefined
}

/** Appends one entry; see `LogClient.append`. */
export async function appendEntry(
  deps: Appending,
  entry: Uint8Array,
  limits: AppendLimits,
): Promise<Receipt> {
  checkLength(entry, 'entry')
  const leaf = leafHash(entry)
  const { body, status } = await deps.sender.send({
    path: 'v1/entries?proof=true&wait=published',
    // Raw bytes: any other type, JSON too, would be stored in the same way.
    contentType: 'application/octet-stream',
    body: entry,
    maxAnswerBytes: MAX_RECEIPT_BYTES,
    limits,
    repeatInDoubt: limits.repeatInDoubt,
  })
  const answer = parseEntryAnswer(body)
  if (!equalBytes(answer.leafHash, leaf)) {
    throw new SteleError(
      'bad_proof',
      `receipt: expected leaf hash ${toHex(leaf)}, got ${toHex(answer.leafHash)}: it is for other bytes`,
    )
  }
  // 202: on the log's disk, but in no published checkpoint yet. The proof is then made from tiles, once it is.
  const proven =
    status === 200 && answer.proof !== undefined
      ? await openReceipt(deps.heads, answer.proof, { index: answer.index, leafHash: leaf })
      : await awaitProof(deps, { index: answer.index, leafHash: leaf }, limits)
  return { ...proven, unverifiedDuplicate: answer.duplicate }
}

/** Appends a batch; see `LogClient.appendBatch`. */
export async function appendBatch(
  deps: Appending,
  entries: readonly Uint8Array[],
  limits: AppendLimits,
): Promise<BatchReceipt> {
  if (entries.length === 0) throw new SteleError('malformed', 'batch: expected at least one entry')
  entries.forEach((entry, i) => checkLength(entry, `batch, entry ${i}`))
  const { body } = await deps.sender.send({
    path: 'v1/batches?wait=published',
    contentType: 'application/vnd.c2sp.entry-bundle',
    body: encodeBundle(entries),
    maxAnswerBytes: maxBatchAnswerBytes(entries.length),
    limits,
    repeatInDoubt: limits.repeatInDoubt,
  })
  const { indexes, duplicates } = parseBatchAnswer(body, entries.length)
  const leaves = entries.map((entry, i) => ({ index: indexes[i]!, leafHash: leafHash(entry) }))
  const needed = indexes.reduce((most, index) => Math.max(most, index + 1), 0)
  const checkpoint = await deps.headOfSize(needed, limits)
  await checkLeaves(deps.heads.tilesOf(checkpoint), leaves)
  return {
    indexes,
    leafHashes: leaves.map(({ leafHash: hash }) => hash),
    checkpoint,
    unverifiedDuplicates: duplicates,
  }
}

/** The log's own proof, verified: it must be of this leaf, under a head of the history known so far. */
async function openReceipt(
  heads: Heads,
  proof: string,
  { index, leafHash: leaf }: { index: number; leafHash: Hash },
): Promise<ProvenLeaf> {
  const file = fromLog(() => parseProofFile(proof))
  if (file.index !== index) {
    throw new SteleError(
      'bad_proof',
      `receipt: says index ${index}, but its proof is for index ${file.index}`,
    )
  }
  const head = fromLog(() => heads.open(file.checkpoint))
  verifyInclusion({ index, size: head.size, leaf, path: file.path, root: head.root })
  return { index, leafHash: leaf, proof, checkpoint: await heads.accept(head) }
}

async function awaitProof(
  deps: Appending,
  leaf: { index: number; leafHash: Hash },
  limits: RetryLimits,
): Promise<ProvenLeaf> {
  const checkpoint = await deps.headOfSize(leaf.index + 1, limits)
  const tiles = deps.heads.tilesOf(checkpoint)
  await checkLeaves(tiles, [leaf])
  return proveLeaf(tiles, checkpoint, leaf.index)
}

function checkLength(entry: Uint8Array, what: string): void {
  if (entry.length > MAX_ENTRY_BYTES) {
    throw new SteleError(
      'too_large',
      `${what}: expected at most ${MAX_ENTRY_BYTES} bytes, got ${entry.length}`,
    )
  }
}
