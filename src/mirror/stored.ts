import { SteleError } from '../errors.ts'
import { encodeHead } from '../log/head.ts'
import type { ScrubFinding } from '../scrub/scrub-finding.ts'
import type { StoredParts } from '../log/options.ts'
import { VerifiedPath } from '../scrub/scrub-path.ts'
import { StretchCheck } from '../scrub/scrub-stretch.ts'
import type { Inspected, LogStore, StoredId } from '../storage/store.ts'
import type { Tree } from '../tile/grow.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import { openHead } from '../witness/head.ts'
import { verifiersOf, type WitnessKey } from '../witness/keys.ts'
import { decodeRecord } from './record.ts'

/** What of a copy is compared with its tree. */
export interface StoredCopy {
  readonly origin: string
  readonly store: LogStore
  /** Of the mirror. */
  readonly keys: readonly WitnessKey[]
  /** The newest tree that is in the store. */
  readonly tree: () => Tree
}

/** A leaf index that has nothing, and of which nothing is expected: mirrors look up no leaves. */
const NO_INDEX: StoredParts['index'] = { cursor: 0, lookup: async () => [] }

/**
 * A copy in the form that the scrubber reads. A mirror's record takes the place of a log's signed head: it is presented
 * as a head of the same size and root hash, with the mirror checkpoint as its note.
 */
export function storedParts({ origin, store, keys, tree }: StoredCopy): StoredParts {
  const own = verifiersOf(keys)
  return {
    origin,
    index: NO_INDEX,
    tree,
    store: {
      async inspect(places) {
        const found = await store.inspect(places)
        return found.map((bytes, i) => asHead(places[i]!, bytes))
      },
      ...(store.checkFiles ? { checkFiles: store.checkFiles.bind(store) } : {}),
    },
    verifyHead({ size, checkpoint }) {
      // Of older records nothing is served, and opening reads the newest one alone.
      if (checkpoint !== '' && size === tree().size) openHead(checkpoint, own, 'mirror checkpoint')
    },
  }
}

/**
 * Reads everything stored of entries [begin, end) past all caches, and compares it with the tree: entries with leaf
 * hashes, tiles and records with the root hash. Includes entries that share a tile with them.
 *
 * @param settle receives the damage of each block range of 256 entries
 * @throws SteleError `io_error` when reading failed, which says nothing about what is stored
 */
export async function readBack(
  parts: StoredParts,
  { begin, end }: { readonly begin: number; readonly end: number },
  settle: (stretch: number, findings: readonly ScrubFinding[]) => void,
): Promise<void> {
  const tree = parts.tree()
  const path = new VerifiedPath(parts.store, tree)
  const options = { looksUp: () => false, yieldTurn }
  for (let stretch = Math.floor(begin / TILE_WIDTH); stretch * TILE_WIDTH < end; stretch++) {
    const check = new StretchCheck(parts, path, tree, stretch, options)
    await check.run()
    settle(stretch, check.findings)
  }
}

/** The entries that findings are about; undefined where they are about none, so that no copy of the log helps. */
export function entriesOf(findings: readonly ScrubFinding[]): { begin: number; end: number } | undefined {
  const ranges = findings.flatMap(({ at }) => {
    if (at.kind === 'entry') return [{ begin: at.index, end: at.index + 1 }]
    if ('begin' in at) return [{ begin: at.begin, end: at.end }]
    if (at.kind !== 'tile') return []
    const leaves = TILE_WIDTH ** (at.level + 1)
    return [{ begin: at.index * leaves, end: (at.index + 1) * leaves }]
  })
  if (ranges.length === 0) return undefined
  return {
    begin: Math.min(...ranges.map(({ begin }) => begin)),
    end: Math.max(...ranges.map(({ end }) => end)),
  }
}

function asHead(place: StoredId, found: Inspected): Inspected {
  if (place.kind !== 'head' || !(found instanceof Uint8Array)) return found
  try {
    const { root, mirrored = '' } = decodeRecord(found, `record of size ${place.size}`)
    const unsigned = { timestampMs: 0, treeHeadSignature: new Uint8Array(0) }
    return encodeHead({ size: place.size, root, checkpoint: mirrored, ...unsigned })
  } catch (error) {
    if (error instanceof SteleError) return error
    throw error
  }
}

const yieldTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
