import { Level } from 'level'
import { SteleError } from '../errors.ts'

/** A lock, held until it is closed. */
export interface Lock {
  close(): Promise<void>
}

/**
 * Locks a path for this process, until the lock is closed or the process ends in any way.
 *
 * Node has no file locks. LevelDB has one, which the system releases when a process is killed, so an empty database
 * serves as the lock. Nothing is ever written to it, and it can be deleted while no process holds it. LevelDB locks
 * before it writes, so a path that another process holds is refused on a full disk too.
 *
 * @param path of the database; the folder above it exists
 * @throws SteleError `locked` while another process holds it; `io_error`, which says nothing about other processes
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
