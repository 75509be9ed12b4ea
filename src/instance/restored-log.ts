import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../errors.ts'
import { encodeHead, type SignedHead } from '../log/head.ts'
import { openLog } from '../log/open.ts'
import { fileError, replaceFile, syncFolder, writeNewFile } from '../storage/files.ts'
import { createHeadFile, openHeadFile } from '../storage/head-file.ts'
import { LevelLeafIndex } from '../storage/leaf-index.ts'
import { LevelStore } from '../storage/level.ts'
import { removeBuilt } from './build-log.ts'
import { checkLogName, logFiles } from './data-folder.ts'
import { activeKeys } from './key-times.ts'
import { headSigner, type PrivateKeys } from './keys.ts'
import { filesIn, type LogFiles } from './log-files.ts'
import type { LogInfo } from './log-info.ts'

/** A log to restore, from a backup or a copy. */
export interface RestoredLog {
  readonly name: string
  readonly info: LogInfo
  /** The text of its `log.json`. */
  readonly infoText: string
  /** All private keys that sign now. */
  readonly keys: PrivateKeys
  /** Has a line by each key that signs at its time. */
  readonly head: SignedHead
  readonly policy: string | undefined
  /** With a policy: the record of the head that was published last. */
  readonly published: Uint8Array | undefined
}

/**
 * Refuses a name that a log already has.
 *
 * @throws SteleError `already_exists` saying how to make room; `usage` for an invalid log name
 */
export function checkPlaceIsFree(folder: string, name: string): void {
  checkLogName(name)
  const place = logFiles(folder, name).folder
  if (!existsSync(place)) return
  const aside = join(folder, 'logs', `.${name}-aside`)
  throw new SteleError(
    'already_exists',
    `${place}: there is a log already, and it is never overwritten; nothing was changed. To restore in its place, ` +
      `stop the server, move it aside ("mv ${place} ${aside}"), and hand in what it last signed: ` +
      `--head-file ${join(aside, 'head')}`,
  )
}

/**
 * Refuses an existing head file: a restored log gets a new one. An existing one may belong to a live log of another
 * data folder, and two logs that share a head file are two writers with one key.
 *
 * @throws SteleError `already_exists` saying how to go on
 */
export function checkHeadFileIsNew({ headFile }: LogInfo): void {
  if (headFile === undefined || !existsSync(headFile)) return
  throw new SteleError(
    'already_exists',
    `${headFile}: there is a head file already, and it may be that of a log that is served elsewhere; nothing was changed. ` +
      `Name a folder for a new one with --head-folder. If the log that wrote it is gone for good, move it aside and hand ` +
      `in what it last signed: --head-file ${headFile}-aside`,
  )
}

/**
 * Restores a log: builds its folder under another name, opens it with all checks of `openLog`, and renames it. A crash
 * leaves a complete log or none; leftovers have a name that begins with a dot and are ignored.
 *
 * @param fill writes all entries and tiles of the head, each verified
 * @throws SteleError `already_exists`, `io_error`; what `fill` throws; as `openLog`
 */
export async function restoreLog(
  folder: string,
  log: RestoredLog,
  fill: (store: LevelStore) => Promise<void>,
): Promise<void> {
  checkPlaceIsFree(folder, log.name)
  const building = join(folder, 'logs', `.restoring-${log.name}-${randomBytes(4).toString('hex')}`)
  let headFile: string | undefined
  try {
    await mkdir(building, { mode: 0o700 }).catch((error: unknown) => {
      throw fileError(building, error)
    })
    await build(filesIn(building), log, fill)
    await createHeadFile(log.info.headFile ?? filesIn(building).head, encodeHead(log.head))
    headFile = log.info.headFile
    await tryOpening(filesIn(building), log)
    await syncFolder(building)
    checkPlaceIsFree(folder, log.name)
    const place = logFiles(folder, log.name).folder
    await rename(building, place).catch((error: unknown) => {
      throw fileError(place, error)
    })
    await syncFolder(join(folder, 'logs'))
  } catch (error) {
    await removeBuilt(building, logFiles(folder, log.name).folder, headFile)
    throw error
  }
}

async function build(
  files: LogFiles,
  { info, infoText, keys, head, policy, published }: RestoredLog,
  fill: (store: LevelStore) => Promise<void>,
): Promise<void> {
  const store = await LevelStore.open(files.database, { create: true })
  try {
    await fill(store)
    const { size } = head
    await store.commit({ from: size, entries: [], tiles: [], head: { size, record: encodeHead(head) } })
  } finally {
    await store.close()
  }
  for (const [i, { file }] of activeKeys(info.keys).entries()) {
    await writeNewFile(join(files.folder, file), `${keys.checkpointKeys[i]!}\n`, 0o600)
  }
  await writeNewFile(files.treeHeadKey, `${keys.treeHeadKey}\n`, 0o600)
  if (policy !== undefined) await writeNewFile(files.policy, policy)
  if (published) await replaceFile(files.published, published, 0o600)
  await writeNewFile(files.info, infoText)
}

/**
 * Opens the log once, so that a log that would not open is not moved into its place. Builds the leaf index on the way.
 */
async function tryOpening(files: LogFiles, { info, keys }: RestoredLog): Promise<void> {
  const store = await LevelStore.open(files.database)
  const headFile = await openHeadFile(info.headFile ?? files.head)
  const index = await LevelLeafIndex.open(files.leafIndex)
  const parts = { origin: info.origin, store, headFile, index, signer: headSigner(info, keys) }
  const log = await openLog(parts, { ...QUIET, allowDuplicates: info.allowDuplicates }).catch(
    async (error: unknown) => {
      await Promise.allSettled([store.close(), headFile.close(), index.close()])
      throw error
    },
  )
  await log.close()
}

/** The trial opening appends and signs nothing. */
const QUIET = {
  pool: { maxEntries: 1, maxBytes: 1, maxCommitEntries: 1, maxCommitBytes: 1 },
  headIntervalMs: Infinity,
  cacheBytes: 8 * 1024 * 1024,
  nowMs: Date.now,
  indexing: { atOpening: Infinity, step: 16_384 },
}
