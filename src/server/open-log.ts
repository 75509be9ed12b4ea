import type { SteleError } from '../errors.ts'
import type { Log, LogOptions } from '../log/log.ts'
import { openLog } from '../log/open.ts'
import { openHeadFile } from '../storage/head-file.ts'
import { LevelLeafIndex } from '../storage/leaf-index.ts'
import { LevelStore } from '../storage/level.ts'
import { headFilePath, logFiles, readLogInfo, type LogInfo } from './data-folder.ts'
import { readKeyFile } from './files.ts'
import { checkKeyPair, keySigner, type LogKeys } from './keys.ts'

/** What a server can be told about how its logs work, apart from what each log was created with. */
export type LogSettings = Omit<LogOptions, 'allowDuplicates'>

/** The private and public keys of a stored log, checked against each other. */
export async function readLogKeys(folder: string, name: string, info: LogInfo): Promise<LogKeys> {
  const files = logFiles(folder, name)
  const keys: LogKeys = {
    checkpointKey: await readKeyFile(files.checkpointKey),
    treeHeadKey: await readKeyFile(files.treeHeadKey),
    verifierKey: info.verifierKey,
    treeHeadPublicKey: info.treeHeadKey,
  }
  checkKeyPair(keys, files.folder)
  return keys
}

/**
 * Opens a log of a data folder for serving: keys, database, leaf index, head file, and all the checks of `openLog`.
 * Whatever was opened is closed again when it fails.
 *
 * @throws SteleError which fact is missing or contradicts which
 */
export async function openStoredLog(folder: string, name: string, settings: LogSettings): Promise<Log> {
  const info = await readLogInfo(folder, name)
  const files = logFiles(folder, name)
  const signer = keySigner(info.origin, await readLogKeys(folder, name, info))
  const opened: { close(): Promise<void> }[] = []
  const opening = async <T extends { close(): Promise<void> }>(part: Promise<T>): Promise<T> => {
    opened.push(await part)
    return part
  }
  try {
    // The database first: it is locked while open, so that nobody else writes the other two.
    const store = await opening(LevelStore.open(files.database))
    const headFile = await opening(openHeadFile(headFilePath(folder, name, info)))
    const index = await opening(LevelLeafIndex.open(files.leafIndex))
    return await openLog(
      { origin: info.origin, store, headFile, index, signer },
      { ...settings, allowDuplicates: info.allowDuplicates },
    )
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

/** Failures that go away by themselves, so that opening again later makes sense. */
export function mayHeal(failure: SteleError): boolean {
  return failure.code === 'io_error' || failure.code === 'log_halted'
}
