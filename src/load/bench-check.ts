import { equalBytes } from '../bytes/bytes.ts'
import { toHex } from '../bytes/hex.ts'
import type { LogClient } from '../client/index.ts'
import { SteleError } from '../errors.ts'
import { leafHash } from '../merkle/hash.ts'
import type { ReadLeaf } from './readers.ts'
import type { Writers } from './writers.ts'

/**
 * A tree to which so many new entries were acknowledged must have grown by as many.
 *
 * @throws SteleError `bad_proof`
 */
export function checkGrowth(
  { before, after }: { before: number; after: number },
  acknowledged: number,
): void {
  if (after - before >= acknowledged) return
  throw new SteleError(
    'bad_proof',
    `bench: ${acknowledged} new entries were acknowledged, but the tree grew from ${before} to ${after} only`,
  )
}

/**
 * Every acknowledged entry of the sample must be in the signed tree, with the bytes that were sent.
 *
 * @returns how many there were
 * @throws SteleError `bad_proof`; as `LogClient.prove`
 */
export async function checkReceipts(log: LogClient, { source, sample }: Writers): Promise<number> {
  for (const { number, index } of sample.kept) {
    await checkLeaf(log, index, leafHash(source.entry(number)), 'acknowledged')
  }
  return sample.kept.length
}

/** The same for leaves that readers were told of. */
export async function checkReads(log: LogClient, leaves: readonly ReadLeaf[]): Promise<number> {
  for (const { index, leafHash: hash } of leaves) await checkLeaf(log, index, hash, 'read')
  return leaves.length
}

async function checkLeaf(log: LogClient, index: number, expected: Uint8Array, what: string): Promise<void> {
  const found = await log.prove(index)
  if (equalBytes(found.leafHash, expected)) return
  throw new SteleError(
    'bad_proof',
    `bench: leaf hash ${toHex(expected)} was ${what} at index ${index}, the tree has ${toHex(found.leafHash)} there`,
  )
}
