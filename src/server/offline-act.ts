import { existsSync } from 'node:fs'
import { hasCode, SteleError } from '../errors.ts'
import { META_LOG, readAccess } from '../instance/access-files.ts'
import { readConfiguration } from '../instance/configuration.ts'
import { logFiles } from '../instance/data-folder.ts'
import { withOfflineAccess, type OfflineAccess } from './offline-access.ts'

/** Something that whoever has the machine does to a log while no server runs. */
export interface OfflineAct {
  readonly act: 'restore' | 'repair'
  readonly log: string
}

/**
 * Does something to a log of a data folder, and leaves a line in its meta log, if it has one. That is opened first, so that
 * nothing is done that could not be written down; only what is done to the meta log itself is written into it afterwards.
 *
 * @param told what the line says of the result; undefined if nothing was changed
 * @returns the result, and why there is no line for what was done to the meta log
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
    // It is done, and whoever did it is to hear what came of it.
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
