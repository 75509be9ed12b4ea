import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import { VerifiedTiles, type LogFiles, type VerifiedCheckpoint } from '../client/index.ts'
import type { Hash } from '../merkle/hash.ts'
import { verifyConsistency } from '../merkle/verify.ts'
import { proveConsistency, rootAt } from '../tile/prove.ts'
import { isDenied, type AskProof } from '../client/served-proofs.ts'

/** Proves which root hash the tree of a larger head has at the size of a smaller one. Can be verified offline. */
export interface PrefixProof {
  readonly olderRoot: Hash
  /** The consistency proof (RFC 6962 section 2.1.2) from that root hash to the larger head's. */
  readonly path: readonly Hash[]
}

/** Two signed heads of one log of which at most one can be right. */
export interface Contradiction {
  /** The smaller head. */
  readonly older: VerifiedCheckpoint
  readonly newer: VerifiedCheckpoint
  /** Only for heads of different sizes. Made from tiles that lead to the larger head's root hash. */
  readonly proof: PrefixProof | undefined
  readonly message: string
}

/**
 * Checks whether two verified heads contradict each other. Tiles are read only if the sizes differ, and are used only
 * if they lead to the root hash of the larger head. If the log does not show its tiles to the monitor, a consistency
 * proof served by the log is verified instead.
 *
 * @throws SteleError `bad_proof` if that proof is wrong. This is not a contradiction, since nothing shows the root hash
 *   that the log has at the smaller size.
 * @throws SteleError as `VerifiedTiles`; then the relation of the two heads is unknown
 */
export async function judgeHeads(
  files: LogFiles,
  a: VerifiedCheckpoint,
  b: VerifiedCheckpoint,
  askProof?: AskProof,
): Promise<Contradiction | undefined> {
  const [older, newer] = a.size <= b.size ? [a, b] : [b, a]
  // Opening a head of size 0 has checked its root hash, and every tree extends the empty one.
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
  // The proof is made from the verified tiles in memory, so the log cannot withhold them now.
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
