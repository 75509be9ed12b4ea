import { equalBytes } from '../bytes/bytes.ts'
import { HASH_BYTES, leafHash } from '../merkle/hash.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import { levelError } from '../storage/level-open.ts'
import type { LogStore } from '../storage/store.ts'

/** A leaf that the index does not lead to. */
export interface IndexFault {
  readonly index: number
  /** What the index says instead. */
  readonly found: number | undefined
}

/**
 * Looks leaves up and says which are not found where they are. What lies behind the index's cursor may be missing:
 * it is written later, or when the log is opened next.
 *
 * @param leaves index and leaf hash of each, in any order
 * @throws SteleError `corrupt` where the index cannot be read, `io_error`
 */
export async function checkIndexed(
  index: Pick<LeafIndex, 'cursor' | 'lookup'>,
  store: Pick<LogStore, 'inspect'>,
  leaves: readonly { readonly index: number; readonly hash: Uint8Array }[],
): Promise<IndexFault[]> {
  const { cursor } = index
  const slab = new Uint8Array(leaves.length * HASH_BYTES)
  leaves.forEach(({ hash }, i) => slab.set(hash, i * HASH_BYTES))
  const answers = await index.lookup(slab, { fillCache: false }).catch((error: unknown) => {
    throw levelError('leaf index', error)
  })
  const faults: IndexFault[] = []
  for (const [i, leaf] of leaves.entries()) {
    const found = answers[i]
    if (found === leaf.index || (found === undefined && leaf.index >= cursor)) continue
    if (found !== undefined && (await isLowerTwin(store, found, leaf))) continue
    faults.push({ index: leaf.index, found })
  }
  return faults
}

/** Of equal leaves, where a log has them, look-ups answer the lowest. */
async function isLowerTwin(
  store: Pick<LogStore, 'inspect'>,
  found: number,
  leaf: { readonly index: number; readonly hash: Uint8Array },
): Promise<boolean> {
  if (found > leaf.index) return false
  const [entry] = await store.inspect([{ kind: 'entry', index: found }])
  return entry instanceof Uint8Array && equalBytes(leafHash(entry), leaf.hash)
}
