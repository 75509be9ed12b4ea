import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { toBase64 } from '../../bytes/base64.ts'
import { toHex } from '../../bytes/hex.ts'
import { HttpFiles, type LogFiles } from '../../client/http-files.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { formatVerifierKey, parseVerifierKey } from '../../note/key.ts'
import type { VerifierKey } from '../../note/note.ts'
import type { SignedTreeHead } from '../../note/tree-head.ts'
import { logFiles, readLogInfo } from '../../instance/data-folder.ts'
import { readKeyFile } from '../../storage/key-file.ts'
import { activeKeys } from '../../instance/key-times.ts'
import { readPublished } from '../../instance/log-files.ts'
import { parseLogInfo, type LogInfo } from '../../instance/log-info.ts'
import { readTextFile } from '../../storage/files.ts'
import { PATIENCE_MS, type Context } from '../context.ts'
import type { FileBeside, FilesBeside } from '../export/exporter.ts'
import { StoredLog } from '../files/stored-log.ts'
import {
  BACKUP_FILES,
  type BackupDescription,
  type EndingState,
  formatDescription,
  isSuperseded,
  nameIn,
  pinHead,
  readEndingState,
  withCheckpoint,
} from './description.ts'

/** A log to save, at one head. */
export interface BackupSource {
  /** Where the log is read: a folder or a URL. */
  readonly from: string
  readonly files: LogFiles
  readonly origin: string
  /** All keys that ever signed for the log. */
  readonly verifierKeys: readonly VerifierKey[]
  /** The other files that a restore needs. */
  readonly beside: FilesBeside
  close(): Promise<void>
}

export interface BackupSourceOptions {
  readonly withKeys: boolean
  /** The URL of the log, if given. Default: its folder, or while a server has it open, this machine's default port. */
  readonly url: string | undefined
}

/** The heads of a log at the time of the backup. */
interface Seen {
  readonly treeHead: SignedTreeHead | undefined
  readonly ending: EndingState | undefined
  /** The record of the head that was published last. */
  readonly published?: Uint8Array
}

/**
 * Opens a log of a data folder for a backup: over HTTP while a server has it open, otherwise from its folder. Keys,
 * policy and description always come from the folder; those files are not locked.
 */
export async function openBackupSource(
  context: Context,
  name: string,
  options: BackupSourceOptions,
): Promise<BackupSource> {
  const isHere = await hasLog(context.data, name, options)
  if (options.url !== undefined) return servedSource(context, name, options.url, isHere, options)
  try {
    return await storedSource(context.data, name, options)
  } catch (error) {
    if (!hasCode(error, 'locked')) throw error
    const url = `http://127.0.0.1:6962/logs/${name}`
    context.terminal.note(`log ${name}: it is open in a server; reading ${url}`)
    return servedSource(context, name, url, isHere, options)
  }
}

/** Whether this machine's data folder has the log; false for a log on another machine. */
async function hasLog(data: string, name: string, { withKeys, url }: BackupSourceOptions): Promise<boolean> {
  if (url === undefined || existsSync(logFiles(data, name).folder)) {
    await readLogInfo(data, name)
    return true
  }
  if (!withKeys) return false
  throw new SteleError('usage', `--with-keys: expected the data folder of log "${name}" at ${data}`)
}

async function storedSource(data: string, name: string, options: BackupSourceOptions): Promise<BackupSource> {
  const stored = await StoredLog.open(data, name)
  try {
    const { unverifiedHead: head, info, everyVerifier, files } = stored
    stored.verifyHead(head)
    const treeHead = { ...head, signature: head.treeHeadSignature }
    const ending = head.final ? { frozen: true as const, ...head.final } : { frozen: false as const }
    const published = await readPublished(logFiles(data, name).published)
    const seen = { treeHead, ending, ...(published instanceof Uint8Array ? { published } : {}) }
    const { beside } = await besideFiles(data, name, seen, options.withKeys)
    const close = (): Promise<void> => stored.close()
    const from = logFiles(data, name).folder
    return { from, files, origin: info.origin, verifierKeys: everyVerifier, beside, close }
  } catch (error) {
    await stored.close()
    throw error
  }
}

async function servedSource(
  context: Context,
  name: string,
  url: string,
  isHere: boolean,
  options: BackupSourceOptions,
): Promise<BackupSource> {
  const headers = await context.headers()
  const files = new HttpFiles(url, { headers }, { deadlineMs: PATIENCE_MS })
  const { note, treeHead } = await pinHead(url, files, headers)
  const source = { from: url, files: withCheckpoint(files, note), close: async () => {} }
  // Keys may change while the log is served. Read after the head, the files include the keys that signed it.
  const origin = isHere ? (await readLogInfo(context.data, name)).origin : undefined
  const verifierKey = isHere ? undefined : await context.keyFor(url)
  const ending = await readEndingState(url, origin ?? verifierKey!.name, headers)
  const seen = { treeHead, ending }
  if (verifierKey === undefined) {
    const { info, beside } = await besideFiles(context.data, name, seen, options.withKeys)
    const verifierKeys = info.keys.map((key) => parseVerifierKey(key.verifierKey))
    return { ...source, origin: info.origin, verifierKeys, beside }
  }
  const own = { origin: verifierKey.name, verifierKey: formatVerifierKey(verifierKey) }
  const beside = ofGeneration((generation) => description(name, own, seen, { policy: 'unknown', generation }))
  return { ...source, origin: own.origin, verifierKeys: await context.following(verifierKey), beside }
}

/** All files belong to one `log.json`, which is read once. */
async function besideFiles(
  data: string,
  name: string,
  seen: Seen,
  withKeys: boolean,
): Promise<{ info: LogInfo; beside: FilesBeside }> {
  const files = logFiles(data, name)
  const text = (await readTextFile(files.info)) ?? ''
  const info = parseLogInfo(text, files.info)
  const policy = await readTextFile(files.policy)
  const kept: FileBeside[] = [{ path: BACKUP_FILES.info, bytes: text }]
  if (policy !== undefined) kept.push({ path: BACKUP_FILES.policy, bytes: policy })
  if (seen.published) kept.push({ path: BACKUP_FILES.published, bytes: seen.published })
  const keys: FileBeside[] = []
  const keyFiles = withKeys ? [...activeKeys(info.keys).map((key) => key.file), BACKUP_FILES.treeHeadKey] : []
  for (const file of keyFiles) {
    keys.push({ path: file, bytes: `${await readKeyFile(join(files.folder, file))}\n`, mode: 0o600 })
  }
  const said = policy === undefined ? 'none' : 'kept'
  const describe = (generation: string): FileBeside =>
    description(name, info, seen, { policy: said, generation })
  return { info, beside: ofGeneration(describe, kept, keys) }
}

/** @param keys names of key files in the log's folder; the contents of a name never change */
function ofGeneration(
  describe: (generation: string) => FileBeside,
  kept: readonly FileBeside[] = [],
  keys: readonly FileBeside[] = [],
): FilesBeside {
  const generation = randomBytes(8).toString('hex')
  return {
    files: [...kept.map((file) => ({ ...file, path: nameIn(generation, file.path) })), ...keys],
    checkpoint: nameIn(generation, BACKUP_FILES.checkpoint),
    selector: describe(generation),
    isSuperseded: (name) => isSuperseded(name, generation),
  }
}

function description(
  name: string,
  { origin, verifierKey }: Pick<LogInfo, 'origin' | 'verifierKey'>,
  { treeHead, ending }: Seen,
  { policy, generation }: Pick<BackupDescription, 'policy' | 'generation'>,
): FileBeside {
  const text = formatDescription({
    name,
    origin,
    verifierKey,
    policy,
    ...(ending ? { ending } : {}),
    ...(treeHead ? { treeHead: shown(treeHead) } : {}),
    savedAt: new Date().toISOString(),
    ...(generation === undefined ? {} : { generation }),
  })
  return { path: BACKUP_FILES.description, bytes: text }
}

function shown({ size, timestampMs, root, signature }: SignedTreeHead) {
  return { treeSize: size, timestampMs, rootHash: toHex(root), signature: toBase64(signature) }
}
