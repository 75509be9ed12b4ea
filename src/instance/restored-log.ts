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

/** A log that is made out of what was kept of it. */
export interface RestoredLog {
  readonly name: string
  readonly info: LogInfo
  /** The same, as its file has it. */
  readonly infoText: string
  /** Of all keys that sign now. */
  readonly keys: PrivateKeys
  /** With a line by each key of its time. */
  readonly head: SignedHead
  readonly policy: string | undefined
  /** With a policy: the record of the head that was published last. */
  readonly published: Uint8Array | undefined
}

/**
 * Refuses a place that is taken.
 *
 * @throws SteleError `already_exists` saying how to make room; `usage` for what can be no log's name
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
 * A restored log gets a head file of its own. One that is there may be a living log's, of another data folder: two logs that
 * share it are two writers with one key.
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
 * Makes a log's folder beside its place, opens it with all the checks of `openLog`, and renames it into its place: a
 * crash leaves a whole log or none. What it leaves behind begins with a dot and is ignored.
 *
 * @param fill writes all entries and tiles of the head, each verified
 * @throws SteleError `already_exists`, `io_error`; whatever `fill` throws; as `openLog`
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

/** Nothing goes into its place that would not open there. Builds the leaf index on the way. */
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

/** It is opened to be closed: nothing is appended, and nothing signed. */
const QUIET = {
  pool: { maxEntries: 1, maxBytes: 1, maxCommitEntries: 1, maxCommitBytes: 1 },
  headIntervalMs: Infinity,
  cacheBytes: 8 * 1024 * 1024,
  nowMs: Date.now,
  indexing: { atOpening: Infinity, step: 16_384 },
}
