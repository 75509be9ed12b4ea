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
 * A monitor's folder: one file of state for each log, and `evidence/` with a file for each contradiction. Every file is
 * there whole or not at all. One process at a time, which `lockStateFolder` sees to.
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

  /** An origin may hold anything: what a file's name cannot is left out, and a hash keeps the names apart. */
  placeOf(origin: string): string {
    const readable = origin.replaceAll(/[^A-Za-z0-9.-]+/g, '_').slice(0, 80)
    return join(this.#folder, `${readable}-${toHex(sha256(encodeUtf8(origin))).slice(0, 8)}.json`)
  }
}

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
