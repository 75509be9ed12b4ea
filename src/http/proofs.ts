import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { verifyConsistency, verifyInclusion } from '../merkle/verify.ts'
import { formatProofFile } from '../note/proof-file.ts'

/** A leaf, and a tree size that a proof is wanted for. */
export interface LeafAt {
  readonly index: number
  readonly leaf: Hash
  readonly size: number
}

/**
 * The inclusion proof of a leaf, checked before it leaves: against the signed root, or against the root of an earlier size
 * that leads to it. At some twenty hashes that is cheaper than a caller who believes that the log forked.
 *
 * @throws SteleError `out_of_range`; `corrupt` for a proof that does not lead to the root
 */
export async function checkedInclusion(log: Log, { index, leaf, size }: LeafAt): Promise<Hash[]> {
  const { published } = log
  if (index >= size || size > published.size) {
    const what = size > published.size ? `tree size ${size}` : `index ${index} in a tree of ${size}`
    throw new SteleError('out_of_range', `${what}: the published tree has ${published.size} leaves`)
  }
  const path = await log.proveInclusion(index, size)
  const root = size === published.size ? published.root : await log.rootAt(size)
  checked(`leaf ${index}: its proof`, size, () => verifyInclusion({ index, size, leaf, path, root }))
  return path
}

/**
 * The consistency proof between two sizes, checked before it leaves as an inclusion proof is; empty for equal sizes and
 * from 0.
 *
 * @throws SteleError `out_of_range`; `corrupt` for a proof that does not lead to both roots
 */
export async function checkedConsistency(log: Log, oldSize: number, newSize: number): Promise<Hash[]> {
  const path = await log.proveConsistency(oldSize, newSize)
  // RFC 6962 defines no proof from the empty tree, and there is nothing to prove between equals.
  if (oldSize === 0 || oldSize === newSize) return path
  const [oldRoot, newRoot] = [await log.rootAt(oldSize), await log.rootAt(newSize)]
  checked(`consistency with size ${oldSize}: its proof`, newSize, () =>
    verifyConsistency({ oldSize, newSize, oldRoot, newRoot, path }),
  )
  return path
}

/** The `.tlog-proof` of a leaf under the published checkpoint. Throws as `checkedInclusion` does. */
export async function proofFile(log: Log, index: number, leaf: Hash): Promise<string> {
  const { size, checkpoint } = log.published
  const path = await checkedInclusion(log, { index, leaf, size })
  return formatProofFile({ index, path, checkpoint })
}

/** An entry that is the one its leaf hash was made of. */
export interface CheckedEntry {
  readonly index: number
  readonly entry: Uint8Array
  readonly leaf: Hash
}

/**
 * Entries [begin, end), fewer if `maxBytes` is used up, at least one; each compared with the tree, for disks rot.
 *
 * @throws SteleError `not_found` beyond the published size, `corrupt` naming the index
 */
export async function checkedEntries(
  log: Log,
  begin: number,
  end: number,
  maxBytes?: number,
): Promise<CheckedEntry[]> {
  const entries = await log.readEntries(begin, end, maxBytes)
  const leaves = await log.readLeafHashes(entries.map((_, i) => begin + i))
  return entries.map((entry, i) => {
    const index = begin + i
    const leaf = leaves[i]!
    if (!equalBytes(leafHash(entry), leaf)) {
      throw new SteleError(
        'corrupt',
        `entry ${index} of ${log.origin}: its bytes are not those of its leaf hash`,
      )
    }
    return { index, entry, leaf }
  })
}

function checked(what: string, size: number, verify: () => void): void {
  try {
    verify()
  } catch (cause) {
    throw new SteleError('corrupt', `${what} does not lead to the root at size ${size}`, { cause })
  }
}
