import { hasCode, SteleError } from '../errors.ts'
import type { Log } from '../log/log.ts'
import { META_LOG } from '../instance/access-files.ts'
import { openAccess, type Access } from './access.ts'
import { loadConfig } from '../config/config.ts'
import { openStoredLog } from '../instance/open-log.ts'
import { logSettings } from './settings.ts'

/** Keys and meta log of a folder that no server has open. */
export type OfflineAccess = Access & { readonly meta: NonNullable<Access['meta']>; readonly log: Log }

/**
 * Opens keys and meta log of a data folder for one task, while no server runs: the meta log's lock sees to that. What
 * the task changes is in the meta log, as it is when a server does it.
 *
 * @throws SteleError `locked` with advice; `not_initialised` without access control
 */
export async function withOfflineAccess<T>(
  folder: string,
  task: (access: OfflineAccess) => Promise<T>,
  { maxKeyMs }: { readonly maxKeyMs?: number | undefined } = {},
): Promise<T> {
  // A command signs what it writes, and nothing because time has passed.
  const settings = { ...logSettings(loadConfig({})), headIntervalMs: Infinity }
  const log = await openStoredLog(folder, META_LOG, settings).catch((error: unknown) => {
    if (hasCode(error, 'not_found')) throw withoutMetaLog(folder)
    throw hasCode(error, 'locked') ? inUse(folder, error) : error
  })
  try {
    const access = await openAccess(folder, { log }, { open: false, nowMs: Date.now, maxKeyMs })
    const { meta } = access
    if (!meta) throw withoutMetaLog(folder)
    try {
      return await task({ ...access, meta, log })
    } finally {
      await meta.close()
    }
  } finally {
    await log.close()
  }
}

function withoutMetaLog(folder: string): SteleError {
  return new SteleError(
    'not_initialised',
    `${folder}: it has no access control; "stele access init" gives it a provisioning key and a meta log`,
  )
}

function inUse(folder: string, cause: SteleError): SteleError {
  return new SteleError(
    'locked',
    `${folder}: a server has it open. Ask that server, with a key that may: --server http://127.0.0.1:6962 and ` +
      `STELE_API_KEY`,
    { cause },
  )
}
