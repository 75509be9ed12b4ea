import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex } from '../bytes/hex.ts'
import { formatPredecessorEntry, formatSuccessorEntry } from '../client/lineage.ts'
import { SteleError } from '../errors.ts'
import type { SignedHead } from '../log/head.ts'
import { readTextFile, syncFolder } from '../storage/files.ts'
import { isHalfMade } from '../storage/head-file.ts'
import { buildIdentity, buildStore } from './build-log.ts'
import { META_LOG } from './access-files.ts'
import { UNANNOUNCED, type Administer } from './plan.ts'
import { hashOf, logPart } from './configuration.ts'
import { checkLogName, logFiles, readLogInfo } from './data-folder.ts'
import { freezeStoredLog } from './freeze.ts'
import { activeKeys } from './key-times.ts'
import { headVerifier } from './keys.ts'
import { filesIn, type NewLog } from './log-files.ts'
import { formatLogInfo, parseLogInfo, type LogInfo } from './log-info.ts'
import type { LogSettings } from './open-log.ts'
import { keptHeads } from './stored-head.ts'

/** The log that continues a frozen one. */
export interface RolloverOptions extends Omit<NewLog, 'allowDuplicates'> {
  /** The public URL of the successor. */
  readonly url: string
  readonly settings: LogSettings
  /** Records and runs the two acts: freezing the old log and making the new one. */
  readonly administer?: Administer
  readonly by?: string
  /** Called before each step: for tests that stop there. */
  readonly onStep?: (step: RolloverStep) => void
}

const UNRECORDED: Administer = (_, task) => task(UNANNOUNCED)

export type RolloverStep = 'prepare' | 'freeze' | 'complete' | 'show'

/** The result of a rollover. */
export interface RolledOver {
  readonly successor: LogInfo
  /** The final head of the old log. */
  readonly final: SignedHead
}

/**
 * Freezes a log and makes its successor in the same data folder. There are four steps, and each can be resumed:
 *
 * 1. make the successor's keys, in a folder beside the logs that is not served;
 * 2. freeze the old log in one commit: a final entry that names the successor, and the final mark;
 * 3. make the successor's database, with a first entry that names the old log's final size and root hash;
 * 4. rename the successor's folder into its place.
 *
 * Running it again with the same options resumes an interrupted rollover.
 *
 * @throws SteleError `locked`; `already_exists` for a successor that exists, or an old log that was frozen otherwise;
 *   as `openStoredLog`, `freezeLog`
 */
export async function rollOver(folder: string, name: string, options: RolloverOptions): Promise<RolledOver> {
  const { onStep = () => {}, administer = UNRECORDED, by = 'host', settings, url } = options
  checkLogName(options.name)
  if ([name, options.name].includes(META_LOG)) {
    throw new SteleError(
      'usage',
      'the meta log cannot have a successor: without it the server could not answer any more requests',
    )
  }
  const old = await readLogInfo(folder, name)
  const place = logFiles(folder, options.name).folder
  if (existsSync(place)) throw exists(`${folder}: there is a log "${options.name}" already`)
  const building = join(folder, 'logs', `.successor-${options.name}`)

  onStep('prepare')
  // The successor inherits the visibility: a private log does not become public.
  const { allowDuplicates, reads, heads } = old
  const successor = await prepare(building, { reads, heads, ...options, allowDuplicates })
  if (successor.origin !== options.origin) {
    throw exists(`${building}: a rollover to the origin ${successor.origin} was begun; finish that one`)
  }

  onStep('freeze')
  const { origin, verifierKey } = successor
  const lastEntry = formatSuccessorEntry({
    origin: old.origin,
    successor: { origin, verifierKeys: [verifierKey], url },
  })
  const words = { successor: url, lastEntry }
  const { head } = await administer({ act: 'log_freeze', by, log: name }, (announce) =>
    freezeStoredLog(folder, name, settings, words, announce),
  )

  onStep('complete')
  const firstEntry = formatPredecessorEntry({
    origin,
    predecessor: {
      origin: old.origin,
      verifierKeys: activeKeys(old.keys).map((key) => key.verifierKey),
      treeSize: head.size,
      rootHash: toHex(head.root),
    },
  })
  await complete(building, successor, firstEntry, settings.nowMs())

  onStep('show')
  await administer({ act: 'log_create', by, log: options.name }, async (announce) => {
    const after = { origin: successor.origin, allowDuplicates, reads, heads, predecessor: old.origin }
    await announce({
      before: null,
      after,
      parts: { [logPart(options.name)]: hashOf(formatLogInfo(successor)) },
      placed: { index: 0, entries: 1 },
    })
    await rename(building, place)
    await syncFolder(join(folder, 'logs'))
  })
  return { successor, final: head }
}

/** The successor's keys: those of an interrupted attempt, or new ones. */
async function prepare(building: string, log: NewLog): Promise<LogInfo> {
  const { info: path } = filesIn(building)
  const text = await readTextFile(path)
  // An incomplete `log.json` is from an attempt that did not finish this step, so its keys were never used.
  if (text?.endsWith('}\n')) return parseLogInfo(text, path)
  await rm(building, { recursive: true, force: true })
  await mkdir(building, { mode: 0o700 })
  const info = await buildIdentity(building, log, Date.now())
  if (info.headFile !== undefined && existsSync(info.headFile)) {
    await rm(building, { recursive: true, force: true })
    throw exists(`${info.headFile}: there is a head file already`)
  }
  await syncFolder(building)
  await syncFolder(join(building, '..'))
  return info
}

/** Makes the successor's database from scratch: what an interrupted attempt left was never visible. */
async function complete(
  building: string,
  info: LogInfo,
  firstEntry: Uint8Array,
  nowMs: number,
): Promise<void> {
  const { database, head } = filesIn(building)
  await rm(database, { recursive: true, force: true })
  if (info.headFile !== undefined && existsSync(info.headFile)) await checkOwn(info.headFile, info)
  await rm(info.headFile ?? head, { force: true })
  await buildStore(building, info, [firstEntry], nowMs)
  await syncFolder(building)
}

/** A head file outside of the folder may belong to another log that was made since the interrupted attempt. */
async function checkOwn(headFile: string, info: LogInfo): Promise<void> {
  if (await isHalfMade(headFile)) return
  try {
    for (const head of await keptHeads(headFile)) headVerifier(info)(head)
  } catch (cause) {
    const what = `${headFile}: expected no head file, or one that this rollover began, found another`
    throw new SteleError('already_exists', `${what}; it was left as it is, and the old log has ended`, {
      cause,
    })
  }
}

function exists(message: string): SteleError {
  return new SteleError('already_exists', `${message}; nothing was changed`)
}
