import { visible } from '../../bytes/visible.ts'
import { toHex } from '../../bytes/hex.ts'
import { hasCode } from '../../errors.ts'
import { decodeHead } from '../../log/head.ts'
import type { LogInfo, LogKey } from '../../instance/data-folder.ts'
import type { Context } from '../context.ts'
import { formatCount } from '../output/units.ts'

/** `stele log list`. */
export async function listLogsCommand({ data, terminal }: Context): Promise<void> {
  const { listLogs, readLogInfo } = await import('../../instance/data-folder.ts')
  const logs: Shown[] = []
  for (const name of await listLogs(data)) logs.push(await shown(data, name, await readLogInfo(data, name)))
  if (terminal.json) return terminal.jsonLine(logs)
  for (const { name, origin, treeSize } of logs) {
    const size = treeSize === undefined ? 'no head file' : `size ${formatCount(treeSize)}`
    await terminal.row([name, origin, size])
  }
}

/** `stele log show`. */
export async function showLogCommand({ data, terminal }: Context, _: object, name: string): Promise<void> {
  const { logFiles, readLogInfo } = await import('../../instance/data-folder.ts')
  const log = await shown(data, name, await readLogInfo(data, name))
  if (terminal.json) return terminal.jsonLine(log)
  const rows: [string, string][] = [
    ['name', log.name],
    ['origin', log.origin],
    ...log.keys.map((key): [string, string] => ['key', describeKey(key)]),
    ['tree head key', log.treeHeadKey],
    ['reads', log.reads === 'public' ? 'for everyone' : log.reads === 'meta' ? 'for auditors' : 'with a key'],
    ['heads', log.heads === 'open' ? 'for everyone' : 'with a key'],
    ['duplicates', log.allowDuplicates ? 'allowed' : 'recognised'],
    ['created', log.createdAt],
    ['state', stateOf(log)],
    ['folder', logFiles(data, name).folder],
    ['head file', log.headFile],
    ['tree size', log.treeSize === undefined ? 'unknown: no head file' : formatCount(log.treeSize)],
    ['root hash', log.rootHash ?? 'unknown'],
    ['signed at', log.timestampMs === undefined ? 'unknown' : new Date(log.timestampMs).toISOString()],
  ]
  for (const [label, value] of rows) await terminal.line(`${label.padEnd(14)} ${visible(value)}`)
}

/** The verifier key and, for those who have several, when it signs. */
function describeKey({ verifierKey, since, overlapUntilSeconds, retired }: LogKey): string {
  const parts = [
    retired ? `retired at size ${formatCount(retired.treeSize)}` : 'signs',
    since.timestampMs === 0 ? 'from the beginning' : `from size ${formatCount(since.treeSize)}`,
    ...(overlapUntilSeconds === undefined || retired
      ? []
      : [`announced until ${new Date(overlapUntilSeconds * 1000).toISOString()}`]),
  ]
  return `${verifierKey}  (${parts.join(', ')})`
}

function stateOf({ frozen, successor }: Shown): string {
  if (!frozen) return 'takes entries'
  return successor === undefined ? 'frozen' : `frozen; goes on at ${successor}`
}

interface Shown extends LogInfo {
  readonly name: string
  readonly headFile: string
  /** Of the last signed head, as the head file has it; its signature is not verified here. */
  readonly treeSize?: number
  readonly rootHash?: string
  readonly timestampMs?: number
  /** It takes no entries any more. */
  readonly frozen?: boolean
  readonly successor?: string
}

/** The head file tells the size also while a server holds the database. */
async function shown(data: string, name: string, info: LogInfo): Promise<Shown> {
  const { headFilePath } = await import('../../instance/data-folder.ts')
  const { readHeadFile } = await import('../../storage/head-file.ts')
  const headFile = headFilePath(data, name, info)
  try {
    const file = await readHeadFile(headFile)
    const { size, root, timestampMs, final } = decodeHead(file.records[0]!, headFile)
    const end = final ? { frozen: true, ...final } : { frozen: false }
    return { ...info, name, headFile, treeSize: size, rootHash: toHex(root), timestampMs, ...end }
  } catch (error) {
    if (!hasCode(error, 'head_missing', 'corrupt')) throw error
    return { ...info, name, headFile }
  }
}
