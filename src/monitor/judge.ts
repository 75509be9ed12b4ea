import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { VerifiedTiles, type LogFiles, type VerifiedCheckpoint } from '../client/index.ts'
import type { Hash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { proveConsistency, rootAt } from '../tile/prove.ts'
import { isDenied, type AskProof } from '../client/served-proofs.ts'

/** Shows which root hash the tree of a larger head has at the size of a smaller one. Anybody can verify it offline. */
export interface PrefixProof {
  readonly olderRoot: Hash
  /** The consistency proof (RFC 6962 section 2.1.2) from that root hash to the larger head's. */
  readonly path: readonly Hash[]
}

/** Two signed heads of one log that cannot both be true. */
export interface Contradiction {
  /** The smaller one. */
  readonly older: VerifiedCheckpoint
  readonly newer: VerifiedCheckpoint
  /** For different sizes: out of tiles that lead to the larger head's root hash. */
  readonly proof: PrefixProof | undefined
  readonly message: string
}

/**
 * Says whether two heads with good signatures contradict each other. Tiles are read only if their sizes differ, and
 * none is believed that does not lead to the root hash of the larger head. Of a log that shows its leaf hashes to
 * others alone, the proof that it makes of them is verified instead.
 *
 * @throws SteleError `bad_proof` for such a proof that does not lead from the one to the other: no contradiction, for
 *   nothing shows what the log has at the smaller size.
 * @throws SteleError as `VerifiedTiles`; then nothing is known of how the two relate
 */
export async function judgeHeads(
  files: LogFiles,
  a: VerifiedCheckpoint,
  b: VerifiedCheckpoint,
  askProof?: AskProof,
): Promise<Contradiction | undefined> {
  const [older, newer] = a.size <= b.size ? [a, b] : [b, a]
  // For size 0 opening has checked the root hash, and any tree extends the empty one.
  if (older.size === 0) return undefined
  if (older.size === newer.size) return equalBytes(older.root, newer.root) ? undefined : contradict(a, b)
  const tiles = new VerifiedTiles(files, newer)
  let olderRoot: Hash
  try {
    olderRoot = await rootAt(tiles, older.size)
  } catch (error) {
    if (!askProof || !isDenied(error)) throw error
    return judgeByProof(older, newer, askProof)
  }
  if (equalBytes(olderRoot, older.root)) return undefined
  // From the tiles that have just been read and verified: a log that regrets having shown them is not asked again.
  const path = await proveConsistency(tiles, older.size, newer.size)
  return contradict(older, newer, { olderRoot, path })
}

async function judgeByProof(
  older: VerifiedCheckpoint,
  newer: VerifiedCheckpoint,
  askProof: AskProof,
): Promise<undefined> {
  const [oldSize, newSize] = [older.size, newer.size]
  const path = await askProof(oldSize, newSize)
  verifyConsistency({ oldSize, newSize, oldRoot: older.root, newRoot: newer.root, path })
}

function contradict(
  older: VerifiedCheckpoint,
  newer: VerifiedCheckpoint,
  proof?: PrefixProof,
): Contradiction {
  const other = proof?.olderRoot ?? newer.root
  const message =
    `two signed heads contradict each other: at size ${older.size} one has root hash ${toHex(older.root)}, ` +
    `the one of size ${newer.size} has ${toHex(other)}`
  return { older, newer, proof, message }
}
