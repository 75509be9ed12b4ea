import { hasCode, type SteleError } from '../errors.ts'
import { encodeHead } from '../log/head.ts'
import type { Log, LogOptions, Witnessing } from '../log/log.ts'
import type { LogObserver } from '../log/observer.ts'
import { openLog } from '../log/open.ts'
import { parsePolicy } from '../policy/parse.ts'
import { readTextFile, replaceFile } from '../storage/files.ts'
import { openHeadFile } from '../storage/head-file.ts'
import { acknowledgedSize } from './stored-head.ts'
import { LevelLeafIndex } from '../storage/leaf-index.ts'
import { LevelStore } from '../storage/level.ts'
import { headFilePath, logFiles, readLogInfo, type LogFiles } from './data-folder.ts'
import { headSigner } from './keys.ts'
import { readPublished } from './log-files.ts'
import { readPrivateKeys } from './private-keys.ts'
import { Witnesses, type WitnessEvents, type WitnessOptions } from './witnesses.ts'

/** A server's settings for its logs, apart from the settings that each log was created with. */
export type LogSettings = Omit<LogOptions, 'allowDuplicates'> & { readonly witnesses: WitnessSettings }

/** How the witnesses of a log are asked, if it has a policy. */
export type WitnessSettings = Omit<WitnessOptions, 'events' | 'forkStops'> & { readonly retryMs: number }

/** Callbacks for the events of an open log. */
export type LogEvents = WitnessEvents & { readonly observer?: LogObserver }

/**
 * Opens a log of a data folder for serving: keys, database, leaf index, head file, and all checks of `openLog`. If one
 * fails, everything that was opened is closed again.
 *
 * @throws SteleError naming the missing or contradicting fact
 */
export async function openStoredLog(
  folder: string,
  name: string,
  settings: LogSettings,
  events: LogEvents = SILENT,
): Promise<Log> {
  const info = await readLogInfo(folder, name)
  const files = logFiles(folder, name)
  const signer = headSigner(info, await readPrivateKeys(files.folder, info))
  const opened: { close(): Promise<void> }[] = []
  const opening = async <T extends { close(): Promise<void> }>(part: Promise<T>): Promise<T> => {
    opened.push(await part)
    return part
  }
  try {
    const acknowledged = await acknowledgedSize(headFilePath(folder, name, info))
    // The database first: its lock keeps other processes from writing the other two.
    const store = await opening(LevelStore.open(files.database, { acknowledged }))
    const headFile = await opening(
      openHeadFile(headFilePath(folder, name, info), { lock: info.headFile !== undefined }),
    )
    const index = await opening(LevelLeafIndex.open(files.leafIndex))
    // Every answer to an authenticated caller waits for the meta log. It asks its witnesses once and goes on without
    // them.
    const goesOn = info.reads === 'meta'
    const witnessing = await readWitnessing(files, { ...settings.witnesses, goesOn }, events)
    return await openLog(
      {
        origin: info.origin,
        store,
        headFile,
        index,
        signer,
        ...(witnessing ? { witnessing } : {}),
        ...(events.observer ? { observer: events.observer } : {}),
      },
      {
        ...settings,
        allowDuplicates: info.allowDuplicates,
        ...(goesOn ? { maxAheadMs: Infinity } : {}),
      },
    )
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

const SILENT: WitnessEvents = { cosigned() {}, failed() {}, publishedWithoutQuorum() {} }

/** The witnesses of a log with a policy file; undefined without one. */
async function readWitnessing(
  files: LogFiles,
  { goesOn, retryMs, ...settings }: WitnessSettings & { readonly goesOn: boolean },
  events: WitnessEvents,
): Promise<Witnessing | undefined> {
  const text = await readTextFile(files.policy)
  if (text === undefined) return undefined
  return {
    cosigner: new Witnesses(parsePolicy(text), { ...settings, events, forkStops: goesOn }),
    store: { write: (head) => replaceFile(files.published, encodeHead(head), 0o600) },
    suspect: await readPublished(files.published),
    retryMs,
    goesOn,
  }
}

/**
 * True for transient failures, after which opening again makes sense. Another process that has the log open, for
 * example "stele fsck", ends at some time. A log that its witnesses contradict does not recover, nor one with a second
 * writer: the two would take the head file from each other.
 */
export function mayHeal(failure: SteleError): boolean {
  const cause = failure.code === 'log_halted' ? failure.cause : failure
  if (!hasCode(cause, 'io_error', 'outcome_unknown', 'quorum_not_met', 'locked')) return false
  return !hasCode(cause.cause, 'second_writer')
}
