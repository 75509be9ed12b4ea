import { existsSync } from 'node:fs'
import { toBase64 } from '../../bytes/base64.ts'
import { toHex } from '../../bytes/hex.ts'
import { HttpFiles } from '../../client/http-files.ts'
import type { LogFiles } from '../../client/log-files.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { formatVerifierKey, parseVerifierKey } from '../../note/key.ts'
import type { VerifierKey } from '../../note/note.ts'
import type { SignedTreeHead } from '../../note/tree-head.ts'
import { logFiles, readLogInfo, type LogInfo } from '../../server/data-folder.ts'
import { readKeyFile, readTextFile } from '../../server/files.ts'
import { readPublishedFile } from '../../storage/published-file.ts'
import { PATIENCE_MS, type Context } from '../context.ts'
import type { FileBeside } from '../export/exporter.ts'
import { StoredLog } from '../files/stored-log.ts'
import { BACKUP_FILES, formatDescription, type BackupDescription } from './description.ts'
import { pinHead, withCheckpoint } from './pinned-head.ts'

/** A log to be saved, at one head. */
export interface BackupSource {
  /** Where it is read: a folder or a URL. */
  readonly from: string
  readonly files: LogFiles
  readonly origin: string
  readonly verifierKey: VerifierKey
  /** What a restore needs besides. */
  readonly beside: readonly FileBeside[]
  close(): Promise<void>
}

export interface BackupSourceOptions {
  readonly withKeys: boolean
  /** Where the log is served, if somebody says so; else its folder is read, or while a server has it this machine's. */
  readonly url: string | undefined
}

/**
 * Opens a log of a data folder to be saved: over HTTP while a server has it open, else from its folder. Keys, policy
 * and description come from the folder in both cases; none of them is locked.
 */
export async function openBackupSource(
  context: Context,
  name: string,
  options: BackupSourceOptions,
): Promise<BackupSource> {
  const local = await localLog(context.data, name, options)
  if (options.url !== undefined) return servedSource(context, name, options.url, local, options)
  try {
    return await storedSource(context.data, name, options)
  } catch (error) {
    if (!hasCode(error, 'locked')) throw error
    const url = `http://127.0.0.1:6962/logs/${name}`
    context.terminal.note(`log ${name}: it is open in a server; reading ${url}`)
    return servedSource(context, name, url, local, options)
  }
}

/** What the data folder of this machine says of the log; nothing for a log that is elsewhere. */
async function localLog(
  data: string,
  name: string,
  { withKeys, url }: BackupSourceOptions,
): Promise<LogInfo | undefined> {
  if (url === undefined || existsSync(logFiles(data, name).folder)) return readLogInfo(data, name)
  if (!withKeys) return undefined
  throw new SteleError('usage', `--with-keys: expected the data folder of log "${name}" at ${data}`)
}

async function storedSource(data: string, name: string, options: BackupSourceOptions): Promise<BackupSource> {
  const stored = await StoredLog.open(data, name)
  try {
    const { unverifiedHead: head, info, verifier, files } = stored
    stored.verifyHead(head)
    const treeHead = { ...head, signature: head.treeHeadSignature }
    const beside = await besideFiles(data, name, info, treeHead, options.withKeys)
    const published = await readPublishedFile(logFiles(data, name).published)
    if (published) beside.push({ path: BACKUP_FILES.published, bytes: published })
    const close = (): Promise<void> => stored.close()
    const from = logFiles(data, name).folder
    return { from, files, origin: info.origin, verifierKey: verifier, beside, close }
  } catch (error) {
    await stored.close()
    throw error
  }
}

async function servedSource(
  context: Context,
  name: string,
  url: string,
  info: LogInfo | undefined,
  options: BackupSourceOptions,
): Promise<BackupSource> {
  const verifierKey = info ? parseVerifierKey(info.verifierKey) : await context.keyFor(url)
  const files = new HttpFiles(url, {}, { deadlineMs: PATIENCE_MS })
  const { note, treeHead } = await pinHead(url, files)
  const beside = info
    ? await besideFiles(context.data, name, info, treeHead, options.withKeys)
    : [description(name, { origin: verifierKey.name, verifierKey: formatVerifierKey(verifierKey) }, treeHead)]
  const origin = info?.origin ?? verifierKey.name
  return {
    from: url,
    files: withCheckpoint(files, note),
    origin,
    verifierKey,
    beside,
    close: async () => {},
  }
}

async function besideFiles(
  data: string,
  name: string,
  info: LogInfo,
  treeHead: SignedTreeHead | undefined,
  withKeys: boolean,
): Promise<FileBeside[]> {
  const files = logFiles(data, name)
  const policy = await readTextFile(files.policy)
  const beside = [description(name, info, treeHead, policy === undefined ? 'none' : 'kept')]
  if (policy !== undefined) beside.push({ path: BACKUP_FILES.policy, bytes: policy })
  if (!withKeys) return beside
  const key = async (path: string, from: string): Promise<FileBeside> => {
    return { path, bytes: `${await readKeyFile(from)}\n`, mode: 0o600 }
  }
  return [
    ...beside,
    await key(BACKUP_FILES.checkpointKey, files.checkpointKey),
    await key(BACKUP_FILES.treeHeadKey, files.treeHeadKey),
  ]
}

function description(
  name: string,
  info: Pick<LogInfo, 'origin' | 'verifierKey'> & Partial<LogInfo>,
  treeHead: SignedTreeHead | undefined,
  policy: BackupDescription['policy'] = 'unknown',
): FileBeside {
  const text = formatDescription({
    name,
    ...info,
    policy,
    ...(treeHead ? { treeHead: shown(treeHead) } : {}),
    savedAt: new Date().toISOString(),
  })
  return { path: BACKUP_FILES.description, bytes: text }
}

function shown({ size, timestampMs, root, signature }: SignedTreeHead) {
  return { treeSize: size, timestampMs, rootHash: toHex(root), signature: toBase64(signature) }
}
