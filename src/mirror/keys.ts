import { learnKeys, type KeySource } from '../client/learn-keys.ts'
import { SteleError } from '../errors.ts'
import type { VerifierKey } from '../note/note.ts'
import { followRotations, splitRotations, traceRotations } from '../note/rotation.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { checkLogs, type WitnessedLog } from '../witness/logs.ts'
import { readLogList, type ListedLog } from '../witness/log-list.ts'
import { mirrorFiles, rotationsFile } from './config.ts'

/**
 * The list of a mirror, with each log's keys as they are now: those of the list, and those that statements lead to which
 * the mirror has followed. The statements are followed anew each time, so that nothing but a listed key starts a chain.
 *
 * @param own the public keys of the mirror
 * @throws SteleError as `readLogList`; `corrupt` for statements that do not hold: no log is followed on a guess
 */
export async function readMirroredLogs(folder: string, own: readonly VerifierKey[]): Promise<ListedLog[]> {
  const listed = await readLogList(mirrorFiles(folder).logs, own, 'mirror')
  const logs: ListedLog[] = []
  for (const log of listed) logs.push({ ...log, keys: await currentKeys(folder, log) })
  checkLogs(logs, own)
  return logs
}

/**
 * The keys of a log as they are now: those of the list, and those that followed statements lead to.
 *
 * @throws SteleError `corrupt` for statements that do not hold; `io_error`
 */
export async function currentKeys(
  folder: string,
  { origin, keys }: WitnessedLog,
): Promise<readonly VerifierKey[]> {
  const path = rotationsFile(folder, origin)
  const rotations = await readTextFile(path)
  if (rotations === undefined) return keys
  try {
    return followRotations({ origin, verifiers: keys }, rotations)
  } catch (cause) {
    if (!(cause instanceof SteleError) || cause.code === 'internal') throw cause
    throw new SteleError('corrupt', `${path}: ${cause.message}`, { cause })
  }
}

/** Whose key it is that learns, and where it is kept. */
export interface MirrorLearning {
  /** The mirror's folder. */
  readonly folder: string
  readonly own: readonly VerifierKey[]
  readonly source: KeySource
}

/**
 * Finds out whether a key that signs a checkpoint of a log has been announced by one that is known, and keeps the
 * statements, synced, before anybody believes them. After a crash in between they are there whole or not at all, and the
 * next round asks again.
 *
 * @returns all keys by which the log is believed from now on
 * @throws SteleError as `learnKeys`; `usage` for keys that no mirror like this can take; `io_error`
 */
export async function learnMirroredKeys(
  { folder, own, source }: MirrorLearning,
  log: WitnessedLog,
  note: string,
): Promise<readonly VerifierKey[]> {
  const { origin, keys: verifiers } = log
  const { keys, statements } = await learnKeys(source, { origin, verifiers }, note)
  checkLogs([{ origin, keys }], own)
  const path = rotationsFile(folder, origin)
  const known = splitRotations((await readTextFile(path)) ?? '')
  const all = [...known, ...statements].join('')
  // What would not be read again at the next start is not written.
  traceRotations({ origin, verifiers }, all)
  await replaceFile(path, all)
  return keys
}
