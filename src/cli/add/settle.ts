import { equalBytes } from '../../bytes/bytes.ts'
import type { LogClient } from '../../client/index.ts'
import { leafHash, type Hash } from '../../merkle/hash.ts'

/**
 * Finds out what became of a batch whose answer was lost: a batch is one contiguous run of new entries, so a log that
 * allows duplicates has it as a run behind what was there before, or not at all.
 *
 * @param before tree size when the batch had not been sent yet
 * @returns the index of its first entry and the size of a signed tree that covers it; undefined if the run is not there, which does not say that it never comes
 */
export async function findBatch(
  log: LogClient,
  batch: readonly Uint8Array[],
  before: number,
): Promise<{ begin: number; treeSize: number } | undefined> {
  const wanted = batch.map(leafHash)
  const { size } = await log.checkpoint()
  const found: Hash[] = []
  if (size - before < batch.length) return undefined
  for await (const entry of log.entries(before, size)) found.push(entry.leafHash.slice() as Hash)
  for (let at = 0; at + wanted.length <= found.length; at++) {
    if (wanted.every((hash, i) => equalBytes(hash, found[at + i]!)))
      return { begin: before + at, treeSize: size }
  }
  return undefined
}
