import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DEFAULT_PUBLIC_URL, originPrefix, originUnder } from '../config/public-url.ts'
import { loadConfig } from '../config/config.ts'
import { SteleError } from '../errors.ts'
import { META_LOG } from '../instance/access-files.ts'
import { createLog, initDataFolder, listLogs, readLogInfo } from '../instance/data-folder.ts'
import { openStoredLog } from '../instance/open-log.ts'
import type { Log, LogOptions, LogParts } from '../log/log.ts'
import { openLog as openParts } from '../log/open.ts'
import { logSettings } from './settings.ts'

/** What every log in a program can be told. What is left out is as `stele serve` has it by default. */
export type LogTuning = Partial<Omit<LogOptions, 'allowDuplicates' | 'indexing'>>

/** How a log of a data folder is opened. */
export interface OpenLogOptions extends LogTuning {
  /** Name of the log in its folder: `[a-z0-9][a-z0-9._-]{0,62}`. Default: `main`. */
  readonly name?: string
  /** Makes the data folder and the log where they are not there yet. Default: false, and then nothing is ever created. */
  readonly create?: boolean
  /**
   * First line of its checkpoints and name of its key: for a log that others verify, the URL that they reach it by, without the
   * scheme. It can never be changed. Default for a log that is made: `localhost:6962/logs/<name>`. A log that exists must have
   * this one.
   */
  readonly origin?: string
  /** Of a log that is made: equal entries become leaves of their own. Default: false, and they get the index of the first. */
  readonly allowDuplicates?: boolean
  /** Of a log that is made: who reads its entries once a server serves it, everyone or callers with a key. Default: `private`. */
  readonly reads?: 'public' | 'private'
}

/**
 * Opens a log of a data folder in this process, and believes nothing that it finds there: signatures, the root hash recomputed
 * from what is stored, and the copy of the last signed head must agree. The folder is the one that `stele init` makes and
 * `stele serve` serves. A log is open in one process at a time. Its witnesses, where it has a policy, are asked as by a server.
 *
 * @returns the log, which its caller closes
 * @throws SteleError `not_initialised` for what is no data folder, `not_found` for a name without a log, both without `create`;
 *   `wrong_origin` where the log has another origin than the options say; `usage` for the name `meta` of a log that is made, and
 *   for a name that is none; `malformed` for an origin that is none; `locked` while another process has the log open;
 *   `foreign_format`; `io_error`; `corrupt`, `rolled_back`, `fork`, `head_missing`, `bad_signature`, `wrong_key` and the like:
 *   which fact contradicts which
 */
export async function openLog(folder: string, options: OpenLogOptions = {}): Promise<Log> {
  const { name = 'main', create = false, origin, allowDuplicates, reads, ...tuning } = options
  const found = await listLogs(folder).catch((error: unknown) => {
    if (create && !existsSync(join(folder, 'stele.json'))) return undefined
    throw error
  })
  if (create && !found?.includes(name)) {
    if (name === META_LOG) throw new SteleError('usage', `a log "${META_LOG}" is made by "stele access init"`)
    if (!found) await initDataFolder(folder)
    const fresh = { origin: origin ?? originUnder(originPrefix(DEFAULT_PUBLIC_URL, 'default'), name) }
    await createLog(folder, {
      name,
      ...fresh,
      allowDuplicates: allowDuplicates ?? false,
      reads: reads ?? 'private',
    })
  }
  const info = await readLogInfo(folder, name)
  if (origin !== undefined && info.origin !== origin) {
    throw new SteleError(
      'wrong_origin',
      `${folder}: log "${name}" has the origin ${info.origin}, not ${origin}`,
    )
  }
  return openStoredLog(folder, name, { ...logSettings(loadConfig({})), ...tuning })
}

/** What a log consists of. */
export type LogStorage = Pick<LogParts, 'origin' | 'store' | 'headFile' | 'index' | 'signer'>

/**
 * Opens a log over a storage engine, a head file, a leaf index and a signer of its caller, and believes nothing that they hold, as
 * `openLog` does. A new log is begun with `beginLog` first. On failure the parts are left open; a log that is open closes them.
 *
 * @param allowDuplicates equal entries become leaves of their own; the same at every opening. Default: false
 * @throws SteleError `not_initialised` for a store without a head; `corrupt`, `rolled_back`, `fork`, `bad_signature`,
 *   `untrusted_signer`, `wrong_origin`: which fact contradicts which
 */
export async function openLogOn(
  storage: LogStorage,
  { allowDuplicates = false, ...tuning }: LogTuning & { readonly allowDuplicates?: boolean } = {},
): Promise<Log> {
  const { witnesses: _, ...settings } = logSettings(loadConfig({}))
  return openParts(storage, { ...settings, allowDuplicates, ...tuning })
}
