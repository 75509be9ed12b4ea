import { createLog, initDataFolder, logFiles, type LogFiles } from '../../src/instance/data-folder.ts'
import { testFolder } from '../support/folder.ts'
import type { LogIdentity } from './examiner.ts'

/** A data folder on disk with one log, `main`. */
export interface LogFolder extends LogIdentity {
  readonly folder: string
  readonly files: LogFiles
}

/** Makes a data folder. @param parent where, if not in a folder of the test's own */
export async function makeLogFolder(parent = testFolder()): Promise<LogFolder> {
  const folder = `${parent}/data`
  const origin = 'log.example/main'
  await initDataFolder(folder)
  const { verifierKey } = await createLog(folder, {
    name: 'main',
    origin,
    allowDuplicates: false,
    reads: 'public',
  })
  return { folder, origin, verifierKey, files: logFiles(folder, 'main') }
}

/** The prefix of that log on a server. */
export const prefix = (server: string): string => `${server}/logs/main/`
