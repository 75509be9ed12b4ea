import { equalBytes } from '../bytes/bytes.ts'
import { SteleError } from '../errors.ts'
import { storedTree } from '../log/open.ts'
import { EMPTY_TREE } from '../tile/grow.ts'
import { rootAt } from '../tile/prove.ts'
import { createHeadFile, openHeadFile, type HeadFile } from '../storage/head-file.ts'
import { LevelStore } from '../storage/level.ts'
import type { LogStore } from '../storage/store.ts'
import { openHead } from '../witness/head.ts'
import { verifiersOf } from '../witness/keys.ts'
import type { WitnessedLog } from '../witness/logs.ts'
import { decodeCount, decodeRecord, encodeCount, encodeRecord, type MirrorRecord } from './record.ts'
import { MirroredLog, type MirroredLogParts, type MirrorState } from './log.ts'
import { openStored, type SeenNote } from './signed.ts'

/** Where the copy of one log is kept. */
export interface MirrorPaths {
  /** LevelDB's own folder: entries, tiles, checkpoints. */
  readonly database: string
  /** How often something was cosigned, in a second place. */
  readonly headFile: string
}

/** Makes the copy of a log of which nothing is known. @throws SteleError `io_error`, `already_exists` */
export async function createMirrorState({ database, headFile }: MirrorPaths): Promise<void> {
  const store = await LevelStore.open(database, { create: true })
  try {
    await createMirrorStore(store)
  } finally {
    await store.close()
  }
  await createHeadFile(headFile, encodeCount(0))
}

/** The first commit of a store. */
export async function createMirrorStore(store: LogStore): Promise<void> {
  const nothing = { cosigned: 0, pending: [], mirrored: undefined, followed: undefined }
  const record = encodeRecord({ root: EMPTY_TREE.root, ...nothing })
  await store.commit({ from: 0, entries: [], tiles: [], head: { size: 0, record } })
}

/**
 * Opens the copy of a log in a folder; see {@link openMirroredLog}.
 *
 * @throws SteleError `locked`, `not_initialised`, `head_missing`, and as {@link openMirroredLog}
 */
export async function openMirrorState(
  { database, headFile }: MirrorPaths,
  parts: Omit<MirroredLogParts, 'store' | 'headFile'>,
): Promise<MirroredLog> {
  let store: LogStore | undefined
  let head: HeadFile | undefined
  try {
    store = await LevelStore.open(database)
    head = await openHeadFile(headFile)
    return await openMirroredLog({ ...parts, store, headFile: head })
  } catch (error) {
    await head?.close()
    await store?.close()
    throw error
  }
}

/**
 * Opens the copy of a log. Nothing is trusted unverified: the root hash recomputed from the stored content, the
 * mirror's own signature, the log's signatures and the number of cosignatures in the head file must all agree. On
 * failure the parts stay open; the caller closes them.
 *
 * @throws SteleError `not_initialised`, `foreign_format`, `corrupt`, `rolled_back`, `wrong_key`, `untrusted_signer`:
 *   nothing may be signed on such a state
 */
export async function openMirroredLog(parts: MirroredLogParts): Promise<MirroredLog> {
  const { log, store, headFile } = parts
  const where = `mirror of ${log.origin}`
  const stored = await store.readHead()
  if (!stored) throw new SteleError('not_initialised', `${where}: its database holds no record`)
  const record = decodeRecord(stored.record, where)
  checkNotRolledBack(record.cosigned, decodeCount(headFile.records[0]!, where), where)
  const tree = await storedTree(store, { size: stored.size, root: record.root }, log.origin)
  const opened = new MirroredLog(parts, tree, stateOf(record, parts, where))
  await checkRoots(opened, where)
  // A crash between commit and head file leaves the head file one step behind.
  await headFile.write(encodeCount(record.cosigned))
  return opened
}

function stateOf(record: MirrorRecord, { log, keys }: MirroredLogParts, where: string): MirrorState {
  const read = (seen: SeenNote, what: string) => openStored(seen, log, `${where}: ${what}`)
  const { cosigned, pending, mirrored, followed } = record
  const head =
    mirrored === undefined ? undefined : openHead(mirrored, verifiersOf(keys), `${where}: mirror checkpoint`)
  if (head) checkOfLog(head.checkpoint.origin, log, where)
  return {
    cosigned,
    pending: pending.map((note) => read(note, 'pending checkpoint')),
    mirrored: head,
    followed: followed === undefined ? undefined : read(followed, 'checkpoint that was followed'),
  }
}

/** Checks that the stored content matches those checkpoints whose entries are all stored. */
async function checkRoots(opened: MirroredLog, where: string): Promise<void> {
  const { pending, mirrored } = opened.state
  if (mirrored && mirrored.checkpoint.size > opened.nextEntry) {
    const { size } = mirrored.checkpoint
    throw new SteleError(
      'corrupt',
      `${where}: size ${size} was cosigned, ${opened.nextEntry} entries are stored`,
    )
  }
  const heads = [...(mirrored ? [mirrored] : []), ...pending]
  for (const { checkpoint } of heads) {
    if (checkpoint.size > opened.nextEntry) continue
    if (equalBytes(await rootAt(opened.reader, checkpoint.size), checkpoint.root)) continue
    throw new SteleError(
      'corrupt',
      `${where}: what is stored is not the tree of size ${checkpoint.size} that was signed`,
    )
  }
}

function checkOfLog(origin: string, log: WitnessedLog, where: string): void {
  if (origin === log.origin) return
  throw new SteleError('corrupt', `${where}: its mirror checkpoint is of another log`)
}

function checkNotRolledBack(count: number, promised: number, where: string): void {
  if (count >= promised) return
  throw new SteleError(
    'rolled_back',
    `${where}: expected ${promised} cosignatures, which its head file says were made, found ${count}: the database is ` +
      'older than what this mirror has signed since. Put the right one back; if it is lost for good, make another ' +
      'mirror, with a new name',
  )
}
