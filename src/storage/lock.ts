import { Level } from 'level'
import { SteleError } from '../errors.ts'

/** What is locked until it is closed. */
export interface Lock {
  close(): Promise<void>
}

/**
 * Claims a path for this process, until the lock is closed or the process ends in any way.
 *
 * Node has no lock on files. LevelDB has one, which the system releases when a process is killed, so an empty database is
 * the lock. Nothing is ever written to it: it can be deleted while nothing holds it. LevelDB locks before it writes, so that
 * what another process holds is refused on a full disk, too.
 *
 * @param path of the database; the folder above it exists
 * @throws SteleError `locked` while another process holds it; `io_error`, and then nothing is known of other processes
 */
export async function holdLock(path: string): Promise<Lock> {
  const lock = new Level(path)
  try {
    await lock.open()
    return lock
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : (error as Error)
    const isHeld = (cause as { code?: string }).code === 'LEVEL_LOCKED'
    if (isHeld) throw new SteleError('locked', `${path}: another process holds this lock`, { cause })
    throw new SteleError('io_error', `${path}: it cannot be locked: ${cause.message}`, { cause })
  }
}
