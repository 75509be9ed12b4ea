import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { SteleError } from '../errors.ts'
import { fileError, isSystemError, readTextFile, replaceFile, syncFolder } from '../storage/files.ts'
import { buildIdentity, buildStore, removeBuilt } from './build-log.ts'
import { filesIn, type LogFiles, type NewLog } from './log-files.ts'
import { formatJson, parseJson } from './json-file.ts'
import { parseLogInfo, type LogInfo } from './log-info.ts'

export type { LogFiles, NewLog } from './log-files.ts'

export type { LogInfo, LogKey } from './log-info.ts'

/*
 * A data folder:
 *
 *   stele.json                 format and version
 *   access.json                API keys, as hashes; mode 600
 *   provisioning.key           optional: the provisioning key, until it is moved elsewhere; mode 600
 *   writer.key                 optional: a key that may append, likewise; "stele start" makes it
 *   logs/meta/                 the log of the audit trail, otherwise like any other log
 *   logs/<name>/log.json       what the log is: origin, public keys with their times, settings
 *   logs/<name>/log.skey       private key of the checkpoints, mode 600; further ones are log-<key id>.skey
 *   logs/<name>/tree-head.pem  private key of the RFC 6962 tree heads, mode 600
 *   logs/<name>/database/      LevelDB: entries, tiles, heads
 *   logs/<name>/leaf-index/    LevelDB: leaf hash to index; can be deleted, is rebuilt
 *   logs/<name>/head           head file: the second copy of the last signed head
 *   logs/<name>/policy         optional: the cosignatures that a head needs before it is published
 *   logs/<name>/published      with a policy: the head that was published last
 */
const FORMAT = 'stele data folder'
const FORMAT_VERSION = 1

/** Names appear unescaped in URLs and paths. */
const LOG_NAME = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** Makes an empty data folder. @throws SteleError `already_exists`, `foreign_format`, `io_error` */
export async function initDataFolder(folder: string): Promise<void> {
  if (existsSync(join(folder, 'stele.json'))) {
    throw new SteleError('already_exists', `${folder}: this is a data folder already; nothing was changed`)
  }
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw fileError(folder, error)
  })
  const found = await readdir(folder).catch((error: unknown) => {
    throw fileError(folder, error)
  })
  // A folder left by an interrupted attempt is completed.
  const isBegun =
    found.every((name) => name === 'logs' || name === 'stele.json.new') &&
    (await isEmpty(join(folder, 'logs')))
  if (found.length > 0 && !isBegun) {
    throw new SteleError(
      'foreign_format',
      `${folder}: expected an empty folder, found ${found.slice(0, 3).join(', ')}; nothing was changed`,
    )
  }
  await mkdir(join(folder, 'logs'), { recursive: true }).catch((error: unknown) => {
    throw fileError(folder, error)
  })
  // Written last and atomically: this file makes the folder a data folder.
  await replaceFile(join(folder, 'stele.json'), formatJson({ format: FORMAT, version: FORMAT_VERSION }))
}

async function isEmpty(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => ['something that is no folder'])
  return names.length === 0
}

/** @throws SteleError `not_initialised`, `foreign_format`: a folder that this version must not change */
export async function checkDataFolder(folder: string): Promise<void> {
  const text = await readTextFile(join(folder, 'stele.json'))
  if (text === undefined) {
    throw new SteleError(
      'not_initialised',
      `${folder}: expected a data folder with a stele.json in it, found none; "stele init" makes one`,
    )
  }
  const { format, version } = parseJson(text, join(folder, 'stele.json')) as {
    format?: unknown
    version?: unknown
  }
  if (format !== FORMAT || version !== FORMAT_VERSION) {
    throw new SteleError(
      'foreign_format',
      `${folder}: expected ${FORMAT} version ${FORMAT_VERSION}, found ${String(format)} version ${String(version)}` +
        `; nothing was changed`,
    )
  }
}

/** The names of the logs in a data folder, sorted. @throws SteleError `not_initialised`, `foreign_format`, `io_error` */
export async function listLogs(folder: string): Promise<string[]> {
  await checkDataFolder(folder)
  const names = await readdir(join(folder, 'logs')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(folder, error)
    throw new SteleError('not_initialised', `${folder}: half a data folder: expected a folder "logs" in it`)
  })
  // A name that begins with a dot is a log whose creation was interrupted. No caller was told about it.
  return names.filter((name) => !name.startsWith('.')).sort()
}

/**
 * What a log is: origin, public keys with their times, settings. Reads `log.json` alone; the log may be open elsewhere.
 *
 * @throws SteleError `not_found` for a name without a log; `not_initialised`, `foreign_format`; `usage` for a name that is none
 */
export async function readLogInfo(folder: string, name: string): Promise<LogInfo> {
  checkLogName(name)
  const { folder: logFolder } = logFiles(folder, name)
  if (!existsSync(logFolder)) throw new SteleError('not_found', `${folder}: there is no log "${name}" in it`)
  const path = logFiles(folder, name).info
  const text = await readTextFile(path)
  if (text === undefined) {
    throw new SteleError('not_initialised', `${logFolder}: incomplete log: expected a log.json, found none`)
  }
  return parseLogInfo(text, path)
}

/** Called when a log is built, before it is moved into its place. If it rejects, the log is discarded. */
export type OnBuilt = (info: LogInfo) => Promise<void>

/**
 * Makes a log: keys, a database with the signed head of the empty tree, and a head file. It is built in another folder
 * and then renamed, so that a crash leaves a complete log or none.
 *
 * @throws SteleError `already_exists`, `usage`, `io_error`
 */
export async function createLog(
  folder: string,
  log: NewLog,
  nowMs = Date.now(),
  onBuilt: OnBuilt = async () => {},
): Promise<LogInfo> {
  await checkDataFolder(folder)
  checkLogName(log.name)
  const place = logFiles(folder, log.name).folder
  if (existsSync(place)) {
    throw new SteleError(
      'already_exists',
      `${folder}: there is a log "${log.name}" already; nothing was changed`,
    )
  }
  const building = join(folder, 'logs', `.creating-${log.name}-${randomBytes(4).toString('hex')}`)
  let headFile: string | undefined
  try {
    await mkdir(building, { mode: 0o700 })
    const info = await buildIdentity(building, log, nowMs)
    await buildStore(building, info, [], nowMs)
    headFile = info.headFile
    await syncFolder(building)
    await onBuilt(info)
    await rename(building, place)
    await syncFolder(join(folder, 'logs'))
    return info
  } catch (error) {
    await removeBuilt(building, place, headFile)
    throw isSystemError(error) ? fileError(place, error) : error
  }
}

/** The paths of a log's files. */
export function logFiles(folder: string, name: string): LogFiles {
  return filesIn(join(folder, 'logs', name))
}

/** The path of a log's head file. */
export function headFilePath(folder: string, name: string, info: LogInfo): string {
  return info.headFile ?? logFiles(folder, name).head
}

/** @throws SteleError `usage` for an invalid log name */
export function checkLogName(name: string): void {
  if (LOG_NAME.test(name)) return
  throw new SteleError(
    'usage',
    `log name: expected 1 to 63 of a-z, 0-9, ".", "_", "-", beginning with a letter or digit, got "${name}"`,
  )
}
