import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { SteleError } from '../../errors.ts'

/**
 * Claims a monitor's state folder for this process, until it is closed or the process ends in whatever way: two
 * monitors on one folder would overwrite each other's progress, and the one that is behind would win.
 *
 * Node has no lock on files. LevelDB has one, which the system itself releases when a process is killed, so an empty
 * database in the folder is the lock. Nothing is ever written to it: it can be deleted while no monitor runs.
 *
 * A disk that is full, or cannot be written to, must not blind a monitor that starts: it is told and goes on unlocked,
 * raises its alarms, and cannot save anything there anyway. LevelDB locks before it writes, so a folder that another
 * monitor has is refused on a full disk, too.
 *
 * @param warn told why the folder could not be locked, if it could not
 * @throws SteleError `locked` while another monitor has the folder
 */
export async function lockStateFolder(
  folder: string,
  warn: (message: string) => void,
): Promise<{ close(): Promise<void> }> {
  const path = join(folder, 'lock')
  try {
    await mkdir(folder, { recursive: true })
    const lock = new Level(path)
    await lock.open()
    return lock
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error)
    if ((cause as { code?: string }).code === 'LEVEL_LOCKED') throw lockedError(folder, cause)
    warn(
      `${path}: the state folder cannot be locked, so a second monitor would not be noticed: ${cause.message}`,
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
