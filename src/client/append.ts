import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { SteleError, type Acknowledged } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
import { formatProofFile, parseProofFile } from '../note/proof-file.ts'
import { encodeBundle, MAX_ENTRY_BYTES } from '../tile/bundle.ts'
import {
  fromLog,
  MAX_PROVEN_ENTRIES,
  maxBatchAnswerBytes,
  MAX_RECEIPT_BYTES,
  parseBatchAnswer,
  parseEntryAnswer,
  type BatchAnswer,
  type EntryAnswer,
} from './answers.ts'
import type { Clock } from './clock.ts'
import { HeadConflict, type Heads, type VerifiedCheckpoint } from './heads.ts'
import { checkLeaves, proveLeaf, type ProvenLeaf } from './prover.ts'
import { inTime, type RetryLimits } from './retry.ts'
import type { Sender } from './sender.ts'
import { isDenied, type LeafAccess } from './served-proofs.ts'
import type { VerifiedTiles } from './verified-tiles.ts'

/** An entry with a verified inclusion proof. */
export interface Receipt extends ProvenLeaf {
  /**
   * True if the log says that it had these bytes already. It did not append them again, and `index` is that of the
   * first ones. To log two events as two entries, make them differ, by an id or a time.
   */
  readonly unverifiedDuplicate: boolean
}

/** Entries that were seen in the log's tree. */
export interface BatchReceipt {
  /** The index of every entry, in the order of the batch. */
  readonly indexes: readonly number[]
  readonly leafHashes: readonly Hash[]
  /** The signed tree that they were seen in. */
  readonly checkpoint: VerifiedCheckpoint
  /**
   * Places in the batch of entries whose bytes the log says it had already: they were recognised and not appended again,
   * and their index is that of the first ones.
   */
  readonly unverifiedDuplicates: readonly number[]
  /** A `.tlog-proof` file for each entry, if the call asked for `proofs`. */
  readonly proofs: readonly string[] | undefined
}

/** What appending needs. */
export interface Appending {
  readonly sender: Sender
  readonly heads: Heads
  readonly access: LeafAccess
  readonly clock: Clock
  /** A verified head of at least this size; waits for it to be published. */
  headOfSize(size: number, limits: RetryLimits): Promise<VerifiedCheckpoint>
}

/** How one call appends. */
export interface AppendLimits extends RetryLimits {
  readonly repeatInDoubt?: boolean | undefined
  readonly proofs?: boolean | undefined
}

/** Appends one entry; see `LogClient.append`. */
export async function appendEntry(
  deps: Appending,
  entry: Uint8Array,
  limits: AppendLimits,
): Promise<Receipt> {
  checkLength(entry, 'entry')
  const endMs = deps.clock.nowMs() + limits.deadlineMs
  const send = async (left: RetryLimits): Promise<EntryAnswer> => {
    const { body } = await deps.sender.send({
      path: 'v1/entries?proof=true&wait=published',
      // Raw bytes: any other type, JSON too, would be stored in the same way.
      contentType: 'application/octet-stream',
      body: entry,
      maxAnswerBytes: MAX_RECEIPT_BYTES,
      limits: left,
      repeatInDoubt: limits.repeatInDoubt,
    })
    return parseEntryAnswer(body)
  }
  const answer = await send(limits)
  const leaf = { index: answer.index, leafHash: leafHash(entry) }
  return verifyLogged(deps, { indexes: [answer.index] }, { ...limits, endMs }, async (left) => {
    checkLeafHash(answer, leaf.leafHash)
    const again = async (): Promise<ProvenLeaf> => {
      const second = sameIndexes(await send(left), answer)
      if (second.proof === undefined) throw notPublished()
      return openReceipt(deps.heads, second.proof, leaf)
    }
    // 202: on the log's disk, but in no published checkpoint yet. The proof is then made from tiles, once it is.
    const proven =
      answer.proof === undefined
        ? await provenLater(
            deps,
            [leaf],
            left,
            (head) => proveLeaf(deps.heads.tilesOf(head), head, leaf.index),
            again,
          )
        : await openReceipt(deps.heads, answer.proof, leaf)
    return { ...proven, unverifiedDuplicate: answer.duplicate }
  })
}

/** Appends a batch; see `LogClient.appendBatch`. */
export async function appendBatch(
  deps: Appending,
  entries: readonly Uint8Array[],
  limits: AppendLimits,
): Promise<BatchReceipt> {
  if (entries.length === 0) throw new SteleError('malformed', 'batch: expected at least one entry')
  entries.forEach((entry, i) => checkLength(entry, `batch, entry ${i}`))
  const endMs = deps.clock.nowMs() + limits.deadlineMs
  const body = encodeBundle(entries)
  const send = async (withProofs: boolean, left: RetryLimits): Promise<BatchAnswer> => {
    const answer = await deps.sender.send({
      path: `v1/batches?wait=published${withProofs ? '&proof=true' : ''}`,
      contentType: 'application/vnd.c2sp.entry-bundle',
      body,
      maxAnswerBytes: maxBatchAnswerBytes(entries.length, withProofs),
      limits: left,
      repeatInDoubt: limits.repeatInDoubt,
    })
    return parseBatchAnswer(answer.body, entries.length)
  }
  const answer = await send(await wantsProofs(deps.access, entries.length, limits), limits)
  const { indexes } = answer
  const leaves = entries.map((entry, i) => ({ index: indexes[i]!, leafHash: leafHash(entry) }))
  return verifyLogged(deps, { indexes }, { ...limits, endMs }, async (left) => {
    const fromAnswer = ({ proven }: BatchAnswer): Promise<Proven> => {
      if (proven === undefined) throw notPublished()
      return openBatchProofs(deps.heads, leaves, proven)
    }
    const again = async (): Promise<Proven> => fromAnswer(sameIndexes(await send(true, left), answer))
    const fromTiles = async (checkpoint: VerifiedCheckpoint): Promise<Proven> => {
      const tiles = deps.heads.tilesOf(checkpoint)
      return { checkpoint, proofs: limits.proofs ? await proveAll(tiles, checkpoint, leaves) : undefined }
    }
    const { checkpoint, proofs } = answer.proven
      ? await fromAnswer(answer)
      : await provenLater(deps, leaves, left, fromTiles, again)
    return {
      indexes,
      leafHashes: leaves.map(({ leafHash: hash }) => hash),
      checkpoint,
      unverifiedDuplicates: answer.duplicates,
      proofs: limits.proofs ? proofs : undefined,
    }
  })
}

interface Leaf {
  readonly index: number
  readonly leafHash: Hash
}

interface Proven {
  readonly checkpoint: VerifiedCheckpoint
  /** A proof file for each entry. */
  readonly proofs: readonly string[] | undefined
}

/**
 * Whether to ask for proofs in the answer to a batch. If the log refuses tiles, there is no other way to verify the
 * batch. Before the log has shown whether it does, proofs work in both cases.
 *
 * @throws SteleError `too_large` for a batch that could be logged but not verified
 */
async function wantsProofs(access: LeafAccess, entries: number, { proofs }: AppendLimits): Promise<boolean> {
  if (entries <= MAX_PROVEN_ENTRIES) return proofs === true || access.refused !== false
  if (!(await access.findOut())) return false
  throw new SteleError(
    'too_large',
    `batch: expected at most ${MAX_PROVEN_ENTRIES} entries, got ${entries}: this key may not read the log, so that its ` +
      `entries are verified by the proofs in the answer, and a log proves no more in one`,
  )
}

/**
 * Verifies entries after the log has acknowledged them. A failure carries their place, since they are logged and must
 * not appear as if they were not.
 */
async function verifyLogged<T>(
  deps: Appending,
  acknowledged: Acknowledged,
  limits: AppendLimits & { readonly endMs: number },
  verify: (left: RetryLimits) => Promise<T>,
): Promise<T> {
  const { deadlineMs, endMs, signal } = limits
  const leftMs = deadlineMs === 0 ? 0 : Math.max(1, endMs - deps.clock.nowMs())
  try {
    return await inTime(leftMs, verify({ deadlineMs: leftMs, signal }))
  } catch (error) {
    throw loggedAnyway(error, acknowledged)
  }
}

function loggedAnyway(error: unknown, acknowledged: Acknowledged): unknown {
  if (!(error instanceof SteleError)) return error
  const [first] = acknowledged.indexes
  const what =
    acknowledged.indexes.length === 1 ? 'the entry' : `${acknowledged.indexes.length} entries, the first`
  const message = `the log has acknowledged ${what} at index ${first}, but its proof could not be checked: ${error.message}`
  const options = { cause: error, acknowledged, retryAfterSeconds: error.retryAfterSeconds }
  if (!(error instanceof HeadConflict)) return new SteleError(error.code, message, options)
  return new HeadConflict(error.code as 'fork' | 'rolled_back', message, error.known, error.suspect, options)
}

/**
 * Verifies leaves that came without proofs, once a published head covers them: from tiles, or, if the log refuses
 * these, by sending the same entries again. A log without duplicates answers that with the proof.
 */
async function provenLater<T>(
  deps: Appending,
  leaves: readonly Leaf[],
  limits: RetryLimits,
  fromTiles: (checkpoint: VerifiedCheckpoint) => Promise<T>,
  again: () => Promise<T>,
): Promise<T> {
  const needed = leaves.reduce((most, { index }) => Math.max(most, index + 1), 0)
  const checkpoint = await deps.headOfSize(needed, limits)
  if (!deps.access.refused) {
    try {
      await checkLeaves(deps.heads.tilesOf(checkpoint), leaves)
      return await fromTiles(checkpoint)
    } catch (error) {
      if (!isDenied(error)) throw error
    }
  }
  if (await deps.sender.recognisesDuplicates(limits)) return again()
  throw new SteleError(
    'forbidden',
    'this key may not read the log, and the log, which allows duplicates, proves an entry only in its first answer',
  )
}

function sameIndexes<T extends EntryAnswer | BatchAnswer>(second: T, first: T): T {
  const indexesOf = (answer: EntryAnswer | BatchAnswer): string =>
    String('indexes' in answer ? answer.indexes : answer.index)
  if (indexesOf(second) === indexesOf(first)) return second
  throw new SteleError('bad_proof', 'the log gave other indexes when the same entries were sent again')
}

function notPublished(): SteleError {
  return new SteleError('unreachable', 'no published checkpoint covers it yet')
}

/** The proofs of a batch, each verified under one head of the history known so far. */
async function openBatchProofs(
  heads: Heads,
  leaves: readonly Leaf[],
  { checkpoint, paths }: NonNullable<BatchAnswer['proven']>,
): Promise<Proven> {
  const head = fromLog(() => heads.open(checkpoint))
  leaves.forEach(({ index, leafHash: leaf }, i) => {
    verifyInclusion({ index, size: head.size, leaf, path: paths[i]!, root: head.root })
  })
  const proofs = leaves.map(({ index }, i) => formatProofFile({ index, path: paths[i]!, checkpoint }))
  return { checkpoint: await heads.accept(head), proofs }
}

async function proveAll(
  tiles: VerifiedTiles,
  checkpoint: VerifiedCheckpoint,
  leaves: readonly Leaf[],
): Promise<string[]> {
  const proofs: string[] = []
  for (const { index } of leaves) proofs.push((await proveLeaf(tiles, checkpoint, index)).proof)
  return proofs
}

function checkLeafHash(answer: EntryAnswer, leaf: Hash): void {
  if (equalBytes(answer.leafHash, leaf)) return
  throw new SteleError(
    'bad_proof',
    `receipt: expected leaf hash ${toHex(leaf)}, got ${toHex(answer.leafHash)}: it is for other bytes`,
  )
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

function checkLength(entry: Uint8Array, what: string): void {
  if (entry.length > MAX_ENTRY_BYTES) {
    throw new SteleError(
      'too_large',
      `${what}: expected at most ${MAX_ENTRY_BYTES} bytes, got ${entry.length}`,
    )
  }
}
