import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import { verifyInclusion } from '../merkle/verify.ts'
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
  try {
    verifyInclusion({ index, size, leaf, path, root })
  } catch (cause) {
    throw new SteleError('corrupt', `leaf ${index}: its proof does not lead to the root at size ${size}`, {
      cause,
    })
  }
  return path
}

/** The `.tlog-proof` of a leaf under the published checkpoint. Throws as `checkedInclusion` does. */
export async function proofFile(log: Log, index: number, leaf: Hash): Promise<string> {
  const { size, checkpoint } = log.published
  const path = await checkedInclusion(log, { index, leaf, size })
  return formatProofFile({ index, path, checkpoint })
}

/** A log whose entries and leaf hashes are read. */
export type EntrySource = Pick<Log, 'origin' | 'readEntries' | 'readLeafHashes'>

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
  log: EntrySource,
  begin: number,
  end: number,
  maxBytes?: number,
): Promise<CheckedEntry[]> {
  const entries = await log.readEntries(begin, end, maxBytes)
  const leaves = await log.readLeafHashes(entries.map((_, i) => begin + i))
  return entries.map((entry, i) => {
    const index = begin + i
    const leaf = leaves[i]!
    if (!equalBytes(leafHash(entry), leaf)) throw damagedEntry(log, index)
    return { index, entry, leaf }
  })
}

/** An entry that the disk has changed, or the tile above it. */
export function damagedEntry({ origin }: Pick<Log, 'origin'>, index: number): SteleError {
  return new SteleError('corrupt', `entry ${index} of ${origin}: its bytes are not those of its leaf hash`)
}
