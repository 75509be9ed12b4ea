import { learnKeys, type KeySource } from '../client/learn-keys.ts'
import { SteleError } from '../errors.ts'
import type { VerifierKey } from '../note/note.ts'
import { followRotations, splitRotations, traceRotations } from '../note/rotation.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { checkLogs, type WitnessedLog } from '../witness/logs.ts'
import { readLogList, type ListedLog } from '../witness/log-list.ts'
import { mirrorFiles, rotationsFile } from './config.ts'

/**
 * The list of a mirror with each log's current keys: those of the list, and those that stored rotation statements lead
 * to. The statements are verified again each time, so that only a listed key starts a chain.
 *
 * @param own the public keys of the mirror
 * @throws SteleError as `readLogList`; `corrupt` for statements that do not verify: then no log is followed
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
 * Checks whether a known key of a log has announced the new key that signs its checkpoint. Stores the statements,
 * synced, before the new key is trusted. A crash in between leaves all of them or none, and the next round asks again.
 *
 * @returns all keys by which the log is trusted from now on
 * @throws SteleError as `learnKeys`; `usage` for keys that a mirror like this cannot accept; `io_error`
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
  // Statements that could not be read again at the next start are not written.
  traceRotations({ origin, verifiers }, all)
  await replaceFile(path, all)
  return keys
}
