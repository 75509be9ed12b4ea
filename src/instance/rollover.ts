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

/** The log that goes on where another one ends. */
export interface RolloverOptions extends Omit<NewLog, 'allowDuplicates'> {
  /** Where others will find it. */
  readonly url: string
  readonly settings: LogSettings
  /** Carries out the two acts: the end of the one log, and the making of the other. */
  readonly administer?: Administer
  readonly by?: string
  /** Told before each step: for tests that end there. */
  readonly onStep?: (step: RolloverStep) => void
}

const UNRECORDED: Administer = (_, task) => task(UNANNOUNCED)

export type RolloverStep = 'prepare' | 'freeze' | 'complete' | 'show'

/** What a rollover left behind. */
export interface RolledOver {
  readonly successor: LogInfo
  /** The final head of the log that ended. */
  readonly final: SignedHead
}

/**
 * Ends a log and begins its successor, in the same data folder. Four steps, each of which leaves what the next one finds:
 *
 * 1. the successor's keys are made, in a folder beside the logs that nobody serves;
 * 2. the old log ends, in one commit: a last entry that names the successor, and the mark that nothing follows;
 * 3. the successor's database is made, with a first entry that names the old log's final size and root hash;
 * 4. the folder is renamed into its place.
 *
 * Running it again with the same options goes on where it was cut short.
 *
 * @throws SteleError `locked`; `already_exists` for a successor that is there, or an old log that ended otherwise; as
 *   `openStoredLog`, `freezeLog`
 */
export async function rollOver(folder: string, name: string, options: RolloverOptions): Promise<RolledOver> {
  const { onStep = () => {}, administer = UNRECORDED, by = 'host', settings, url } = options
  checkLogName(options.name)
  if ([name, options.name].includes(META_LOG)) {
    throw new SteleError('usage', 'the meta log has no successor: without it nothing more would be answered')
  }
  const old = await readLogInfo(folder, name)
  const place = logFiles(folder, options.name).folder
  if (existsSync(place)) throw exists(`${folder}: there is a log "${options.name}" already`)
  const building = join(folder, 'logs', `.successor-${options.name}`)

  onStep('prepare')
  // What was private does not become public by going on.
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

/** The successor's keys: those of an attempt that was cut short, or new ones. */
async function prepare(building: string, log: NewLog): Promise<LogInfo> {
  const { info: path } = filesIn(building)
  const text = await readTextFile(path)
  // Half a `log.json` is of an attempt that came no further: nobody knows its keys.
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

/** The successor's database, from nothing: whatever an attempt left of it was never seen. */
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

/** A head file outside of the folder may be that of another log, made since the attempt that was cut short. */
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
