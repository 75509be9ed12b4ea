import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { encodeHead } from '../log/head.ts'
import { beginLog } from '../log/open.ts'
import { leafHash } from '../merkle/hash.ts'
import { writeNewFile } from '../storage/files.ts'
import { createHeadFile } from '../storage/head-file.ts'
import { LevelStore } from '../storage/level.ts'
import { concatBytes } from '../bytes/bytes.ts'
import { EMPTY_TREE, growTree } from '../tile/grow.ts'
import { generateLogKeys, headSigner } from './keys.ts'
import { filesIn, NEW_LOG, type NewLog } from './log-files.ts'
import { firstKey, formatLogInfo, type LogInfo } from './log-info.ts'
import { readPrivateKeys } from './private-keys.ts'

/** Makes the keys and `log.json` of a log in an empty folder. */
export async function buildIdentity(folder: string, log: NewLog, nowMs: number): Promise<LogInfo> {
  const files = filesIn(folder)
  const keys = await generateLogKeys(log.origin)
  await writeNewFile(files.checkpointKey, `${keys.checkpointKey}\n`, 0o600)
  await writeNewFile(files.treeHeadKey, keys.treeHeadKey, 0o600)
  const info: LogInfo = {
    version: 2,
    origin: log.origin,
    verifierKey: keys.verifierKey,
    keys: [firstKey(keys.verifierKey)],
    rotations: [],
    treeHeadKey: keys.treeHeadPublicKey,
    allowDuplicates: log.allowDuplicates,
    reads: log.reads ?? NEW_LOG.reads,
    heads: log.heads ?? NEW_LOG.heads,
    createdAt: new Date(nowMs).toISOString(),
    ...(log.headFolder ? { headFile: resolve(log.headFolder, `${log.name}.head`) } : {}),
  }
  await writeNewFile(files.info, formatLogInfo(info))
  return info
}

/** Makes the database and the head file of a log, with its first entries, if any, and the signed head over them. */
export async function buildStore(
  folder: string,
  info: LogInfo,
  entries: readonly Uint8Array[],
  timestampMs: number,
): Promise<void> {
  const files = filesIn(folder)
  const signer = headSigner(info, await readPrivateKeys(folder, info))
  const { tree, tiles } = growTree(EMPTY_TREE, concatBytes(...entries.map(leafHash)))
  const { size, root } = tree
  const store = await LevelStore.open(files.database, { create: true })
  let record: Uint8Array
  try {
    record = await beginLog(store, signer, timestampMs)
    if (size > 0) {
      record = encodeHead(await signer.sign({ size, root, timestampMs: timestampMs + 1 }))
      await store.commit({ from: 0, entries: [...entries], tiles, head: { size, record } })
    }
  } finally {
    await store.close()
  }
  await createHeadFile(info.headFile ?? files.head, record)
}

/**
 * Removes the files of a log whose creation failed, as far as the disk allows. If a rename that was reported as failed
 * did happen, the log is complete and keeps its head file.
 *
 * @param headFile outside of the folder, if it was made
 */
export async function removeBuilt(
  building: string,
  place: string,
  headFile: string | undefined,
): Promise<void> {
  await rm(building, { recursive: true, force: true }).catch(() => undefined)
  if (headFile === undefined || existsSync(place)) return
  await rm(headFile, { force: true }).catch(() => undefined)
}
