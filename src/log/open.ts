import { toHex } from '../bytes/hex.ts'
import { equalBytes } from '../bytes/bytes.ts'
import { hasCode, SteleError } from '../errors.ts'
import { EMPTY_ROOT, HASH_BYTES, leafHash, type Hash } from '../merkle/hash.ts'
import type { LeafIndex } from '../storage/leaf-index.ts'
import type { LogStore } from '../storage/store.ts'
import { rebuildTree, type Tree } from '../tile/grow.ts'
import { TileHashes } from '../tile/hashes.ts'
import { rootAt } from '../tile/prove.ts'
import { decodeHead, encodeHead, type SignedHead } from './head.ts'
import { INDEXING, indexStep, type Indexing } from './leaf-index.ts'
import { Log } from './log.ts'
import type { LogOptions, LogParts } from './options.ts'
import { cosigned, type Witnessing } from './publisher.ts'
import { TileReader } from './reader.ts'

/**
 * Opens a log and trusts nothing that it finds: signatures, the root recomputed from what is stored, and the head
 * file must all agree. The cost does not grow with the log: at most 255 entries and 255 tiles a level, and the leaves that the leaf
 * index lacks after a crash. An index that lacks more is completed behind the open log.
 *
 * On failure the parts are left open: the caller opened them.
 *
 * @throws SteleError `not_initialised`, `corrupt`, `rolled_back`, `fork`, `bad_signature`, `untrusted_signer`,
 *   `wrong_origin`: which fact contradicts which
 */
export async function openLog(parts: LogParts, options: LogOptions): Promise<Log> {
  const head = await storedHead(parts)
  const kept = keptHeads(parts)
  checkNotRolledBack(parts.origin, head, kept)
  checkStillFrozen(parts.origin, head, kept)
  const tree = await storedTree(parts.store, head, parts.origin)
  const reader = new TileReader(parts.store, () => tree, options.cacheBytes)
  for (const other of kept) await checkSameHistory(parts.origin, reader, head, other)
  const newest = kept[0]!
  // A crash between commit and head file leaves the head file one step behind.
  if (newest.size < head.size || newest.timestampMs < head.timestampMs)
    await parts.headFile.write(encodeHead(head))
  await catchUp(parts.index, reader, head.size, options.indexing ?? INDEXING)
  const published = await publishedHead(parts, reader, head)
  // A clock that was set back must not date a head before the keys that are to sign it.
  const signedUntilMs = Math.max(newest.timestampMs, (parts.signer.sinceMs ?? 0) - 1)
  return new Log(parts, options, { tree, head, published, signedUntilMs })
}

/**
 * The head that readers saw last. Until a log is witnessed for the first time, its newest head is published; from then on the
 * published head is kept, so no restart shows readers a head that was not cosigned. Where the kept head is lost, the witnesses are
 * asked to cosign the newest head first, because no older head is known to be the last that readers saw.
 *
 * @throws SteleError `quorum_not_met` where it is lost and too few witnesses answer; `rolled_back`
 */
async function publishedHead(parts: LogParts, reader: TileReader, head: SignedHead): Promise<SignedHead> {
  const { witnessing, signer, origin } = parts
  if (!witnessing) return head
  if (witnessing.suspect === 'none yet') {
    await witnessing.store.write(head)
    return head
  }
  if (witnessing.suspect === undefined) return cosignedFirst(witnessing, reader, head, origin)
  const published = decodeHead(witnessing.suspect, `log ${origin}: published head`)
  signer.verify(published)
  if (published.size > head.size) checkNotRolledBack(origin, head, [published])
  await checkSameHistory(origin, reader, head, published)
  return published
}

async function cosignedFirst(
  witnessing: Witnessing,
  reader: TileReader,
  head: SignedHead,
  origin: string,
): Promise<SignedHead> {
  try {
    return await cosigned(head, witnessing, reader)
  } catch (error) {
    if (!hasCode(error, 'quorum_not_met')) throw error
    throw new SteleError(
      'quorum_not_met',
      `log ${origin}: the file "published" is lost, so it is not known which head readers saw last, and they are shown ` +
        `none before the witnesses have cosigned it: ${error.message}`,
      { cause: error },
    )
  }
}

async function storedHead({ store, signer, origin }: LogParts): Promise<SignedHead> {
  const stored = await store.readHead()
  if (!stored) throw new SteleError('not_initialised', `log ${origin}: the database holds no signed head`)
  const head = decodeHead(stored.record, `log ${origin}: database`)
  if (head.size !== stored.size) {
    throw new SteleError(
      'corrupt',
      `log ${origin}: a head of size ${head.size} is filed under ${stored.size}`,
    )
  }
  signer.verify(head)
  return head
}

/** The heads of the head file, newest first. */
function keptHeads({ headFile, signer, origin }: LogParts): SignedHead[] {
  return headFile.records.map((record) => {
    const head = decodeHead(record, `log ${origin}: head file`)
    signer.verify(head)
    return head
  })
}

function checkNotRolledBack(origin: string, head: SignedHead, kept: readonly SignedHead[]): void {
  const newest = kept[0]
  if (newest && newest.size > head.size) {
    throw new SteleError(
      'rolled_back',
      `log ${origin}: the database ends at size ${head.size}, but a head of size ${newest.size} was signed and ` +
        `kept beside the database. Entries ${head.size} to ${newest.size - 1} were acknowledged and are gone, so ` +
        `nothing is signed. Restore the newer database; never copy an older head file over this one`,
    )
  }
}

/** A final head is in the database before it is in the head file; only a database that lost a commit lacks it. */
function checkStillFrozen(origin: string, head: SignedHead, kept: readonly SignedHead[]): void {
  if (head.final || !kept.some(({ final }) => final)) return
  throw new SteleError(
    'rolled_back',
    `log ${origin}: it was frozen, and the database is from before that, so nothing is signed. Restore the newer ` +
      `database; never copy an older head file over this one`,
  )
}

/**
 * The tree as the stored entries and tiles make it; its root must be the one that was signed.
 *
 * @throws SteleError `corrupt`
 */
export async function storedTree(
  store: LogStore,
  head: Pick<SignedHead, 'size' | 'root'>,
  origin: string,
): Promise<Tree> {
  const tree = rebuildTree(head.size, await partialTiles(store, head.size))
  if (!equalBytes(tree.root, head.root)) {
    throw new SteleError(
      'corrupt',
      `log ${origin}: at size ${head.size} the stored entries and tiles have root ${toHex(tree.root)}, but ` +
        `${toHex(head.root)} was signed. "stele fsck" names the first damaged index or tile`,
    )
  }
  return tree
}

/** For each tile level the hashes of its partial tile: of the newest entries, then of the newest full tiles. */
async function partialTiles(store: LogStore, size: number): Promise<Uint8Array[]> {
  const begin = size - (size % 256)
  const levels = [joined((await store.readEntries(begin, size)).map(leafHash))]
  for (let count = Math.floor(size / 256), level = 0; count > 0; count = Math.floor(count / 256), level++) {
    const width = count % 256
    const ids = Array.from({ length: width }, (_, i) => ({ level, index: count - width + i }))
    const tiles = await store.readTiles(ids)
    levels.push(joined(tiles.map((bytes, i) => tileRoot(bytes, ids[i]!))))
  }
  return levels
}

function tileRoot(bytes: Uint8Array | undefined, { level, index }: { level: number; index: number }): Hash {
  if (bytes?.length !== 256 * HASH_BYTES) {
    throw new SteleError(
      'corrupt',
      `tile ${level}/${index}: expected 8192 stored bytes, found ${bytes?.length ?? 0}`,
    )
  }
  return new TileHashes(bytes).node(8, 0)
}

function joined(hashes: readonly Uint8Array[]): Uint8Array {
  const slab = new Uint8Array(hashes.length * HASH_BYTES)
  hashes.forEach((hash, i) => slab.set(hash, i * HASH_BYTES))
  return slab
}

/** The tree of a head that was signed earlier must be a prefix of the stored tree. */
async function checkSameHistory(
  origin: string,
  reader: TileReader,
  head: SignedHead,
  earlier: SignedHead,
): Promise<void> {
  const root = earlier.size === 0 ? EMPTY_ROOT : await rootAt(reader, earlier.size)
  if (equalBytes(root, earlier.root)) return
  throw new SteleError(
    'fork',
    `log ${origin}: the database of size ${head.size} has root ${toHex(root)} at size ${earlier.size}, but the head ` +
      `file holds a signed head of that size with root ${toHex(earlier.root)}: they are two histories`,
  )
}

/** Writes what the leaf index lacks, if that is no more than a crash can leave. */
async function catchUp(
  index: LeafIndex,
  reader: TileReader,
  size: number,
  { atOpening, step }: Indexing,
): Promise<void> {
  if (index.cursor > size) await index.moveCursor(size)
  if (size - index.cursor > atOpening) return
  while (index.cursor < size) await indexStep(index, reader, Math.min(size, index.cursor + step))
}

/**
 * Makes the first head of a log in an empty store: signs the tree of no entries and commits it. Once in the life of a log: a
 * store that was emptied and begun again with the same keys is a fork.
 *
 * @param timestampMs of the head, in milliseconds since 1970
 * @returns the record of that head, for the head file; durable in the store
 * @throws SteleError `already_exists` for a store that holds a head; what the signer and the store throw
 */
export async function beginLog(
  store: LogStore,
  signer: LogParts['signer'],
  timestampMs = Date.now(),
): Promise<Uint8Array> {
  const found = await store.readHead()
  if (found) throw new SteleError('already_exists', `the store holds a log of size ${found.size} already`)
  const record = encodeHead(await signer.sign({ size: 0, root: EMPTY_ROOT, timestampMs }))
  await store.commit({ from: 0, entries: [], tiles: [], head: { size: 0, record } })
  return record
}
