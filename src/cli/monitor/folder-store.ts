import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../../bytes/hex.ts'
import { encodeUtf8 } from '../../bytes/text.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { sha256 } from '../../merkle/hash.ts'
import type { MonitorStore } from '../../monitor/state.ts'
import { fileError } from '../../storage/files.ts'
import { holdLock, type Lock } from '../../storage/lock.ts'
import { writeDurably } from '../files/durable.ts'

/**
 * A monitor's folder: a state file for each log, and `evidence/` with a file for each contradiction. Every file is
 * complete or missing. `lockStateFolder` ensures that only one process uses it.
 */
export class FolderStore implements MonitorStore {
  readonly #folder: string

  constructor(folder: string) {
    this.#folder = folder
  }

  async load(origin: string): Promise<string | undefined> {
    const path = this.placeOf(origin)
    try {
      return await readFile(path, 'utf8')
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return undefined
      throw new SteleError('io_error', `${path}: ${message}`, { cause: error })
    }
  }

  save(origin: string, state: string): Promise<void> {
    return writeDurably(this.placeOf(origin), state)
  }

  async keepEvidence(id: string, evidence: string): Promise<string> {
    const path = join(this.#folder, 'evidence', `${id}.json`)
    await writeDurably(path, evidence)
    return path
  }

  /** Makes a file name from an origin: unsuitable characters are left out, and a hash keeps names unique. */
  placeOf(origin: string): string {
    const readable = origin.replaceAll(/[^A-Za-z0-9.-]+/g, '_').slice(0, 80)
    return join(this.#folder, `${readable}-${toHex(sha256(encodeUtf8(origin))).slice(0, 8)}.json`)
  }
}

/**
 * Locks a monitor's state folder for this process, until it is closed or the process ends. Two monitors on one folder
 * would overwrite each other's progress.
 *
 * A full or unwritable disk must not stop a monitor from starting. It warns, continues without the lock, and raises
 * findings; it could not save anything there anyway.
 *
 * @param warn called with the reason if the folder could not be locked
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
      `${path}: the state folder cannot be locked, so that a second monitor on it would not be detected: ${(error as Error).message}`,
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
