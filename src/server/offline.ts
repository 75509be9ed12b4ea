import { existsSync } from 'node:fs'
import { administer } from '../audit-trail/administer.ts'
import { loadConfig } from '../config/config.ts'
import { hasCode, SteleError } from '../errors.ts'
import { META_LOG, readAccess } from '../instance/access-files.ts'
import { Administration, type Works } from '../instance/administration.ts'
import { readConfiguration } from '../instance/configuration.ts'
import { logFiles } from '../instance/data-folder.ts'
import { freezeStoredLog } from '../instance/freeze.ts'
import { type LogSettings, openStoredLog } from '../instance/open-log.ts'
import { type Act, type Administer, type Announce, type Planned, UNANNOUNCED } from '../instance/plan.ts'
import type { Log } from '../log/log.ts'
import { type Access, openAccess } from './access.ts'
import { logSettings } from './settings.ts'

/** What a command on a stopped server works with. */
export interface OfflineAdministration {
  readonly logs: Administration
  /** For operations that `logs` does not offer. */
  readonly administer: Administer
}

/**
 * Changes a log of a data folder while no server runs. In a folder with access control the change is recorded in the
 * meta log first, as a server does. A change to the keys of the meta log is the exception, since the log accepts no
 * writes while its keys change: its line is written right after the change. If the process crashes between the two, the
 * next start reports the change as not recorded.
 * @param settings the server's settings, so that witnesses are asked as a server would ask them
 * @throws SteleError `locked` with advice; errors of the task
 */
export async function withOfflineAdministration<T>(
  folder: string,
  name: string,
  settings: LogSettings,
  task: (administration: OfflineAdministration) => Promise<T>,
): Promise<T> {
  const through = (wrap: Administer): Promise<T> => {
    const logs = new Administration({ folder, administer: wrap, works: filesOf(folder, settings) })
    return task({ logs, administer: wrap })
  }
  if (!(await readAccess(folder))) return through((_, act) => act(UNANNOUNCED))
  if (name === META_LOG) return through((act, change) => recordedBehind(folder, act, change))
  return withOfflineAccess(folder, ({ meta }) =>
    through((act, change) => administer({ folder, meta }, act, change)),
  )
}

async function recordedBehind<T>(
  folder: string,
  act: Act,
  change: (announce: Announce) => Promise<T>,
): Promise<T> {
  const planned: Planned[] = []
  const result = await change((one) => {
    planned.push(one)
    return Promise.resolve()
  })
  await withOfflineAccess(folder, ({ meta }) =>
    administer({ folder, meta }, act, async (announce) => {
      for (const one of planned) await announce(one)
    }),
  )
  return result
}

function filesOf(folder: string, settings: LogSettings): Works {
  return {
    whileClosed: (_, task) => task(),
    changeKeys: (_, change) => change(),
    freeze: (name, words, announce) => freezeStoredLog(folder, name, settings, words, announce),
    add: () => Promise.resolve(),
  }
}

/** The API keys and meta log of a data folder while no server runs. */
export type OfflineAccess = Access & { readonly meta: NonNullable<Access['meta']>; readonly log: Log }

/**
 * Opens the API keys and the meta log of a data folder for one task. The lock of the meta log ensures that no server
 * runs. Changes that the task makes are recorded in the meta log, as on a server.
 *
 * @throws SteleError `locked` with advice; `not_initialised` without access control
 */
export async function withOfflineAccess<T>(
  folder: string,
  task: (access: OfflineAccess) => Promise<T>,
  { maxKeyMs }: { readonly maxKeyMs?: number | undefined } = {},
): Promise<T> {
  // A command signs the heads of its own writes only; it does not re-sign periodically.
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

/** An operation on a log by an operator of the machine, while no server runs. */
export interface OfflineAct {
  readonly act: 'restore' | 'repair'
  readonly log: string
}

/**
 * Runs an operation on a log of a data folder, and records it in the folder's meta log, if it has one. The meta log is
 * opened first, so that nothing is done that cannot be recorded. An operation on the meta log itself is recorded after
 * it is done.
 *
 * @param told the details of the result for the line; undefined if nothing was changed
 * @returns the result, and why no line was written for an operation on the meta log
 * @throws SteleError `locked` while a server runs; `not_initialised` without the meta log that the folder should have
 */
export async function withTrace<T>(
  folder: string,
  what: OfflineAct,
  task: () => Promise<T>,
  told: (result: T) => object | undefined,
): Promise<{ result: T; untraced?: SteleError }> {
  if (what.log === META_LOG) return doneToMeta(folder, what, task, told)
  if (!(await readAccess(folder))) return { result: await task() }
  if (!existsSync(logFiles(folder, META_LOG).folder)) {
    throw new SteleError(
      'not_initialised',
      `${folder}: it has an access.json and no log "${META_LOG}", where this leaves a line: restore that one first`,
    )
  }
  return withOfflineAccess(folder, async (access) => {
    const result = await task()
    await write(folder, access, what, told(result))
    return { result }
  })
}

async function doneToMeta<T>(
  folder: string,
  what: OfflineAct,
  task: () => Promise<T>,
  told: (result: T) => object | undefined,
): Promise<{ result: T; untraced?: SteleError }> {
  const result = await task()
  try {
    if (await readAccess(folder)) {
      await withOfflineAccess(folder, (access) => write(folder, access, what, told(result)))
    }
    return { result }
  } catch (error) {
    // The operation is done, so a failure here is returned beside its result.
    if (error instanceof SteleError && !hasCode(error, 'internal')) return { result, untraced: error }
    throw error
  }
}

async function write(
  folder: string,
  { meta }: OfflineAccess,
  { act, log }: OfflineAct,
  after: object | undefined,
): Promise<void> {
  if (after === undefined) return
  const configuration = await readConfiguration(folder, undefined, meta.configuration)
  await meta.write({ kind: 'admin', act, by: 'host', before: null, after: { log, ...after }, configuration })
}
