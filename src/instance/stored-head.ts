import { SteleError } from '../errors.ts'
import { decodeHead, type SignedHead } from '../log/head.ts'
import { readHeadFile } from '../storage/head-file.ts'
import { LevelStore } from '../storage/level.ts'
import { headFilePath, logFiles, readLogInfo } from './data-folder.ts'
import { headVerifier } from './keys.ts'
import type { LogInfo } from './log-info.ts'

/** A log at rest: what it is, and the newest head that it has signed. */
export interface AtRest {
  readonly info: LogInfo
  readonly head: SignedHead
  /** Later than every head that is known to have been signed: the earliest time that the next one can have. */
  readonly nextMs: number
}

/**
 * Does something to a log that nobody has open, and that nobody can open meanwhile.
 *
 * @param task is told what the log is as of now: nobody else changes it before it ends
 * @throws SteleError `locked`, `not_found`; as `openStoredLog` for a log that is not in order; whatever the task throws
 */
export async function withStoredHead<T>(
  folder: string,
  name: string,
  task: (log: AtRest) => Promise<T>,
): Promise<T> {
  // Refuses a name that is none before anything is opened; read again behind the lock.
  const before = await readLogInfo(folder, name)
  const acknowledged = await acknowledgedSize(headFilePath(folder, name, before))
  const store = await LevelStore.open(logFiles(folder, name).database, { acknowledged })
  try {
    const info = await readLogInfo(folder, name)
    const stored = await store.readHead()
    if (!stored) throw new SteleError('not_initialised', `log ${name}: the database holds no signed head`)
    const head = decodeHead(stored.record, `log ${name}: database`)
    const verify = headVerifier(info)
    verify(head)
    const kept = await keptHeads(headFilePath(folder, name, info))
    kept.forEach(verify)
    const newest = Math.max(...kept.map(({ size }) => size))
    if (newest > head.size) {
      throw new SteleError(
        'rolled_back',
        `log ${name}: the database ends at size ${head.size}, the head file at ${newest}; nothing was changed`,
      )
    }
    const nextMs = Math.max(head.timestampMs, ...kept.map(({ timestampMs }) => timestampMs)) + 1
    return await task({ info, head, nextMs })
  } finally {
    await store.close()
  }
}

/**
 * What was promised, as the head file has it, for `LevelStore.open`: more than any size where it cannot be read, so that
 * nothing is dropped then. It is read before the database is locked: by the time that is, more may be promised, never less.
 */
export async function acknowledgedSize(path: string): Promise<number> {
  try {
    return Math.max(...(await keptHeads(path)).map(({ size }) => size))
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** The heads in a head file. @throws SteleError as `readHeadFile` */
export async function keptHeads(path: string): Promise<SignedHead[]> {
  const { records } = await readHeadFile(path)
  return records.map((record) => decodeHead(record, path))
}
