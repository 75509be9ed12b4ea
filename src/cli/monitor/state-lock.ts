import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode, SteleError } from '../../errors.ts'
import { fileError } from '../../storage/files.ts'
import { holdLock, type Lock } from '../../storage/lock.ts'

/**
 * Claims a monitor's state folder for this process, until it is closed or the process ends in whatever way: two
 * monitors on one folder would overwrite each other's progress, and the one that is behind would win.
 *
 * A disk that is full, or cannot be written to, must not blind a monitor that starts: it is told and goes on unlocked,
 * raises its alarms, and cannot save anything there anyway.
 *
 * @param warn told why the folder could not be locked, if it could not
 * @throws SteleError `locked` while another monitor has the folder
 */
export async function lockStateFolder(folder: string, warn: (message: string) => void): Promise<Lock> {
  const path = join(folder, 'lock')
  try {
    await mkdir(folder, { recursive: true }).catch((error: unknown) => {
      throw fileError(folder, error)
    })
    return await holdLock(path)
  } catch (error) {
    if (hasCode(error, 'locked')) throw lockedError(folder, error)
    warn(
      `${path}: the state folder cannot be locked, so a second monitor would not be noticed: ${(error as Error).message}`,
    )
    return { close: () => Promise.resolve() }
  }
}

function lockedError(folder: string, cause: Error): SteleError {
  return new SteleError(
    'locked',
    `${folder}: another monitor uses this state folder; stop it first, or give this one a folder of its own with ` +
      '--state',
    { cause },
  )
}
