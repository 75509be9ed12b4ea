import { SteleError } from '../errors.ts'
import { decodeHead, type SignedHead } from '../log/head.ts'
import { readHeadFile } from '../storage/head-file.ts'
import { LevelStore } from '../storage/level.ts'
import { headFilePath, logFiles, readLogInfo } from './data-folder.ts'
import { headVerifier } from './keys.ts'
import type { LogInfo } from './log-info.ts'

/** A log that is not open: its settings and the newest head that it has signed. */
export interface AtRest {
  readonly info: LogInfo
  readonly head: SignedHead
  /** The earliest timestamp of the next head: later than every head that is known to have been signed. */
  readonly nextMs: number
}

/**
 * Runs a task on a log that no process has open, and keeps other processes from opening it meanwhile.
 *
 * @param task gets the current state of the log, which no other process can change before the task ends
 * @throws SteleError `locked`, `not_found`; as `openStoredLog` for a log that is not in order; what the task throws
 */
export async function withStoredHead<T>(
  folder: string,
  name: string,
  task: (log: AtRest) => Promise<T>,
): Promise<T> {
  // Refuses an unknown name before anything is opened; `log.json` is read again under the lock.
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
 * The acknowledged size according to the head file, for `LevelStore.open`; if that cannot be read, larger than any
 * size, so that nothing is dropped. Read before the database is locked: the acknowledged size can grow until then, but
 * not shrink.
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
