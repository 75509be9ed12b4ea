import { toHex } from '../../bytes/hex.ts'
import { visible } from '../../bytes/visible.ts'
import { hasCode, SteleError } from '../../errors.ts'
import type { KeyAlgorithm, KeyChange } from '../../instance/change-keys.ts'
import type { LogInfo, LogKey } from '../../instance/data-folder.ts'
import { decodeHead } from '../../log/head.ts'
import { HOST, onStoredLog } from '../access/stored-logs.ts'
import type { Context } from '../context.ts'
import type { NewLogOptions } from '../files/initialise.ts'
import { STDIN } from '../files/input.ts'
import { formatCount } from '../output/units.ts'
import { parseIndex } from '../range.ts'
import { serverOf, type ServerOption } from './log-server.ts'

/** `stele log create`. */
export async function createLogCommand(
  context: Context,
  options: Omit<NewLogOptions, 'name'> & ServerOption,
  name: string,
): Promise<void> {
  const { newLogOf, warnOfLoopback } = await import('../files/initialise.ts')
  const { data, terminal } = context
  const server = await serverOf(context, options)
  const publicUrl = options.publicUrl ?? context.flagUrl
  const { origin: chosen, ...rest } = newLogOf({ ...options, name, publicUrl })
  // The running server derives the origin from its own public URL, not from the address that this command uses.
  const wanted = options.origin === undefined && publicUrl === undefined ? rest : { ...rest, origin: chosen }
  if (server) {
    if (options.headFolder !== undefined) {
      throw new SteleError(
        'usage',
        'log create: --head-folder names a folder of the server’s machine; run it there',
      )
    }
    const { origin, verifierKey } = await server.create(wanted)
    await terminal.result({ server: options.server, name, origin, verifierKey }, visible(verifierKey))
    warnOfLoopback(terminal, origin)
    return terminal.note(`Created the log "${name}" (origin ${visible(origin)}); it is served from now on.`)
  }
  const { origin, verifierKey } = await onStoredLog(context, name, ({ logs }) => logs.createLog(HOST, wanted))
  await terminal.result({ data, name, origin, verifierKey }, verifierKey)
  warnOfLoopback(terminal, origin)
  terminal.note(`Created the log "${name}" (origin ${origin}) in ${data}.`)
}

/** `stele log set-policy`. */
export async function setPolicyCommand(
  context: Context,
  options: ServerOption & { readonly none?: boolean },
  name: string,
  file?: string,
): Promise<void> {
  if ((file === undefined) === (options.none !== true)) {
    throw new SteleError('usage', `log set-policy: expected either a file (or ${STDIN}) or --none`)
  }
  const text = file === undefined ? undefined : await readText(context, file)
  const server = await serverOf(context, options)
  if (server) await server.setPolicy(name, text ?? null)
  else {
    await onStoredLog(context, name, ({ logs }) => logs.setPolicy(HOST, name, text))
  }
  const waits = text === undefined ? 'does not wait for witnesses' : 'waits for the witnesses of its policy'
  await context.terminal.result({ name, policy: text ?? null }, `${name}: it ${waits}`)
}

/** `stele log set-access`. */
export async function setAccessCommand(
  context: Context,
  options: ServerOption & { readonly reads?: string; readonly heads?: string },
  name: string,
): Promise<void> {
  const { headsOf } = await import('../files/initialise.ts')
  const { reads, heads } = options
  if (reads === undefined && heads === undefined) {
    throw new SteleError('usage', 'log set-access: expected --reads, --heads, or both')
  }
  const wanted = {
    ...(reads === undefined ? {} : { reads: readsOf(reads) }),
    ...(heads === undefined ? {} : { heads: headsOf(heads) }),
  }
  const server = await serverOf(context, options)
  const now = server
    ? await server.setAccess(name, wanted)
    : await onStoredLog(context, name, ({ logs }) => logs.setAccess(HOST, name, wanted))
  await context.terminal.result({ name, ...now }, `${name}: reads ${now.reads}, heads ${now.heads}`)
}

function readsOf(text: string): 'public' | 'private' {
  if (text === 'public' || text === 'private') return text
  throw new SteleError('usage', `--reads: expected public or private, got "${text}"`)
}

async function readText({ io }: Context, file: string): Promise<string> {
  const { readInput } = await import('../files/input.ts')
  const bytes = await readInput(file, io)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new SteleError('malformed', `${file}: expected a policy in UTF-8`, { cause: error })
  }
}

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
    [
      'reads',
      log.reads === 'public' ? 'without a key' : log.reads === 'meta' ? 'for auditors' : 'with a key',
    ],
    ['heads', log.heads === 'open' ? 'without a key' : 'with a key'],
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

/** The verifier key and, for a log with several keys, when it signs. */
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
  return successor === undefined ? 'frozen' : `frozen; continues at ${successor}`
}

interface Shown extends LogInfo {
  readonly name: string
  readonly headFile: string
  /** The last signed head in the head file; its signature is not verified here. */
  readonly treeSize?: number
  readonly rootHash?: string
  readonly timestampMs?: number
  /** True if the log accepts no more entries. */
  readonly frozen?: boolean
  readonly successor?: string
}

/** The size comes from the head file, which can be read while a server has the database open. */
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

const ALGORITHMS: readonly KeyAlgorithm[] = ['ed25519', 'ml-dsa-44']
const DAY_SECONDS = 86_400

/** `stele log add-key`. */
export async function addKeyCommand(
  context: Context,
  { algorithm = 'ed25519', ...options }: ServerOption & { readonly algorithm?: string },
  name: string,
): Promise<void> {
  const wanted = ALGORITHMS.find((known) => known === algorithm)
  if (!wanted) {
    throw new SteleError('usage', `--algorithm: expected ${ALGORITHMS.join(' or ')}, got "${algorithm}"`)
  }
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.addKey(name, { algorithm: wanted }))
  await report(context, name, await onStoredLog(context, name, ({ logs }) => logs.addKey(HOST, name, wanted)))
}

/** `stele log rotate-key`. */
export async function rotateKeyCommand(
  context: Context,
  { key, overlapDays, ...options }: ServerOption & { readonly key?: string; readonly overlapDays?: string },
  name: string,
): Promise<void> {
  const overlapSeconds = overlapDays === undefined ? undefined : parseIndex(overlapDays) * DAY_SECONDS
  const wanted = { keyId: key, overlapSeconds }
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.addKey(name, { rotate: true, ...wanted }))
  const change = await onStoredLog(context, name, ({ logs }) => logs.rotateKey(HOST, name, wanted))
  await report(context, name, change)
}

/** `stele log retire-key`. */
export async function retireKeyCommand(
  context: Context,
  { beforeOverlapEnds = false, ...options }: ServerOption & { readonly beforeOverlapEnds?: boolean },
  name: string,
  keyId: string,
): Promise<void> {
  const server = await serverOf(context, options)
  if (server) return reportServed(context, name, await server.retireKey(name, keyId, beforeOverlapEnds))
  const { logFiles } = await import('../../instance/data-folder.ts')
  const change = await onStoredLog(context, name, ({ logs }) =>
    logs.retireKey(HOST, name, keyId, beforeOverlapEnds),
  )
  await report(context, name, change)
  context.terminal.note(
    `It signs nothing from now on. Its private key is still in ${logFiles(context.data, name).folder}/${change.key.file}: ` +
      'destroy it once you are sure.',
  )
}

async function reportServed(
  { terminal }: Context,
  name: string,
  key: { readonly verifierKey: string; readonly retired?: unknown },
): Promise<void> {
  await terminal.result({ name, ...key }, visible(key.verifierKey))
  if (key.retired) return terminal.note(`It signs nothing for the log "${name}" from now on.`)
  terminal.note(`It signs for the log "${name}" from its next head on. Back up its file on the server.`)
}

async function report({ terminal, data }: Context, name: string, change: KeyChange): Promise<void> {
  const { info, key, statements } = change
  const { verifierKey } = key
  await terminal.result({ data, name, origin: info.origin, ...key, rotations: statements }, verifierKey)
  const signing = info.keys.filter(({ retired }) => !retired).length
  terminal.note(
    `The log "${name}" signs with ${signing} key${signing === 1 ? '' : 's'}, from its next head on.`,
  )
  if (statements.length > 0 && !key.retired) {
    terminal.note(
      `Its old keys announce the new one at v1/keys/rotations. Back up ${key.file} like the first key.`,
    )
  }
}
