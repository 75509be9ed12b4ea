import { join } from 'node:path'
import { firstKey, type MadeKey } from '../access/keyring.ts'
import { accessState, formatAccessState, parseAccessState, type AccessState } from '../access/state.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { createLog } from './data-folder.ts'

/** Name of the audit trail's log. No other log can have it. */
export const META_LOG = 'meta'

/** The file with the API keys of an instance, as hashes. */
export function accessPath(folder: string): string {
  return join(folder, 'access.json')
}

/** The access state; undefined in a folder without access control. @throws SteleError `foreign_format` */
export async function readAccess(folder: string): Promise<AccessState | undefined> {
  const text = await readTextFile(accessPath(folder))
  return text === undefined ? undefined : parseAccessState(text, accessPath(folder))
}

/** Replaces the state atomically: a crash leaves the old one or the new one. @throws SteleError `io_error` */
export async function writeAccess(folder: string, state: AccessState): Promise<void> {
  await replaceFile(accessPath(folder), formatAccessState(state), 0o600)
}

/**
 * Gives a data folder a provisioning key and a meta log. The access state is written last; without it the rest has no
 * effect.
 *
 * @param origin first line of the meta log's checkpoints
 * @returns the provisioning key, which is shown only once
 * @throws SteleError `already_exists` where there is a meta log already; `io_error`
 */
export async function initAccess(folder: string, origin: string, nowMs = Date.now()): Promise<MadeKey> {
  await createLog(folder, { name: META_LOG, origin, allowDuplicates: true, reads: 'meta' }, nowMs)
  const { made, record } = firstKey(nowMs)
  await writeAccess(folder, accessState([record]))
  return made
}
