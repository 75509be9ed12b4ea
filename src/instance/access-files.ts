import { join } from 'node:path'
import { firstKey, type MadeKey } from '../access/keyring.ts'
import { accessState, formatAccessState, parseAccessState, type AccessState } from '../access/state.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { createLog } from './data-folder.ts'

/** The log of who did what: a name that no other log can have. */
export const META_LOG = 'meta'

/** Where the keys of an instance are kept, as hashes. */
export function accessPath(folder: string): string {
  return join(folder, 'access.json')
}

/** Who may do what, or undefined in a folder that has no access control yet. @throws SteleError `foreign_format` */
export async function readAccess(folder: string): Promise<AccessState | undefined> {
  const text = await readTextFile(accessPath(folder))
  return text === undefined ? undefined : parseAccessState(text, accessPath(folder))
}

/** Replaces the state: a crash leaves the old one or the new one, whole. @throws SteleError `io_error` */
export async function writeAccess(folder: string, state: AccessState): Promise<void> {
  await replaceFile(accessPath(folder), formatAccessState(state), 0o600)
}

/**
 * Gives a data folder a provisioning key and a meta log. The state is written last: without it nothing of this counts.
 *
 * @param origin first line of the meta log's checkpoints
 * @returns the provisioning key, which is shown now and never again
 * @throws SteleError `already_exists` where there is a meta log already; `io_error`
 */
export async function initAccess(folder: string, origin: string, nowMs = Date.now()): Promise<MadeKey> {
  await createLog(folder, { name: META_LOG, origin, allowDuplicates: true, reads: 'meta' }, nowMs)
  const { made, record } = firstKey(nowMs)
  await writeAccess(folder, accessState([record]))
  return made
}
