import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { leafHash, type Hash } from '../merkle/hash.ts'
import type { Log } from './log.ts'

/** An entry, compared with its leaf hash. */
export interface CheckedEntry {
  readonly index: number
  readonly entry: Uint8Array
  readonly leaf: Hash
}

/**
 * Reads entries [begin, end), and compares each with its leaf hash in the tree: disks rot, and what the store gives is not
 * checked. That the leaf hashes are those of the signed tree is what an inclusion proof shows.
 *
 * @param maxBytes of entries; where it is used up there are fewer of them, and at least one of a range that is not empty
 * @throws SteleError `not_found` beyond the published size, `corrupt` naming the index
 */
export async function checkedEntries(
  log: Pick<Log, 'origin' | 'readEntries' | 'readLeafHashes'>,
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

/** The failure for an entry that the disk has changed, or the tile above it. */
export function damagedEntry({ origin }: Pick<Log, 'origin'>, index: number): SteleError {
  return new SteleError('corrupt', `entry ${index} of ${origin}: its bytes are not those of its leaf hash`)
}
