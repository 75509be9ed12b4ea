import type { Command } from 'commander'
import { decodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { checkKeyName, type CosignerKeyType, KEY_TYPE } from '../note/key-id.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import { MAX_NOTE_BYTES, type VerifierKey } from '../note/note.ts'
import type { CosignerInfo, CosignerKind } from '../witness/cosigner-folder.ts'
import type { ListedLog } from '../witness/log-list.ts'
import type { WitnessedLog } from '../witness/logs.ts'
import type { Context } from './context.ts'
import { trustedKeys } from './files/rotations.ts'
import { formatCount } from './output/units.ts'
import { asUsage } from './range.ts'

/** Time limit for a request to a cosigner on this machine. */
const PATIENCE_MS = 5000

/**
 * Adds a log to the list of a cosigner, and prints what is known of it.
 *
 * @param makeRoom run before the log is added, once the folder is known to be a cosigner's
 * @throws SteleError as `readCosignerInfo` and `addToLogList`; errors of `makeRoom`
 */
export async function addListedLog(
  { terminal }: Context,
  { kind, data, log }: { kind: CosignerKind; data: string; log: ListedLog },
  makeRoom: () => Promise<void> = async () => {},
): Promise<ListedLog & { originHash: string }> {
  const [{ cosignerFiles, readCosignerInfo }, { addToLogList }, { originHash }] = await Promise.all([
    import('../witness/cosigner-folder.ts'),
    import('../witness/log-list.ts'),
    import('../witness/logs.ts'),
  ])
  const own = ownKeys(await readCosignerInfo(kind, data))
  await makeRoom()
  const listed = await addToLogList(cosignerFiles(data).logs, own, log, kind)
  const hash = originHash(log.origin)
  await terminal.result({ ...logAsJson(listed), url: listed.url, originHash: hash }, log.origin)
  return { ...listed, originHash: hash }
}

/**
 * Removes a log from the list of a cosigner. Its state stays in the folder.
 *
 * @throws SteleError as `readCosignerInfo` and `dropFromLogList`
 */
export async function dropListedLog(context: Context, kind: CosignerKind, origin: string): Promise<void> {
  const [{ cosignerFiles, readCosignerInfo }, { dropFromLogList }] = await Promise.all([
    import('../witness/cosigner-folder.ts'),
    import('../witness/log-list.ts'),
  ])
  const data = cosignerFolder(context, kind)
  const own = ownKeys(await readCosignerInfo(kind, data))
  const dropped = await dropFromLogList(cosignerFiles(data).logs, own, origin, kind)
  await context.terminal.result(logAsJson(dropped), dropped.origin)
  context.terminal.note(`${data} keeps the state of ${origin}, and uses it if the log is added again.`)
}

/** The progress of a log, according to the folder of a cosigner. */
export interface Progress {
  /** Size of the newest cosigned checkpoint; 0 if there is none. */
  readonly treeSize: number
  /** For a mirror: the size that the log has signed, and the number of stored entries. */
  readonly pendingSize?: number
  readonly nextEntry?: number
  readonly cosignedAtSeconds?: number
}

/**
 * The checkpoint that a cosigner running on the folder serves for a log, verified with its keys.
 *
 * @returns undefined if its URL is unknown, or it does not respond
 */
export async function servedProgress(
  data: string,
  own: readonly VerifierKey[],
  { origin }: Pick<ListedLog, 'origin'>,
): Promise<Progress | undefined> {
  const [{ cosignerFiles }, { readTextFile }, { Transport }, { openHead }, { originHash }] =
    await Promise.all([
      import('../witness/cosigner-folder.ts'),
      import('../storage/files.ts'),
      import('../client/transport.ts'),
      import('../witness/head.ts'),
      import('../witness/logs.ts'),
    ])
  const url = (await readTextFile(cosignerFiles(data).serving))?.trim()
  if (!url) return undefined
  try {
    const ask = { maxBytes: MAX_NOTE_BYTES, expect: [200, 404], timeoutMs: PATIENCE_MS, fresh: true }
    const place = `${url}/${originHash(origin)}/checkpoint`
    const { status, body } = await new Transport().ask(place, ask)
    if (status === 404) return { treeSize: 0 }
    const { checkpoint, timestampSeconds } = openHead(decodeUtf8(body, place), own, place)
    return { treeSize: checkpoint.size, cosignedAtSeconds: timestampSeconds }
  } catch (error) {
    if (error instanceof SteleError && error.code !== 'internal') return undefined
    throw error
  }
}

/**
 * One log in the output of `list`. The progress is unknown while a cosigner runs on the folder and does not respond.
 */
interface ShownLog extends Partial<Progress> {
  readonly origin: string
  readonly verifierKeys: readonly string[]
  readonly url?: string | undefined
  readonly originHash: string
  readonly evidenceFiles: number
}

/**
 * The logs of a cosigner's list, with their progress.
 *
 * @param progressOf called for one log after the other
 * @throws SteleError `io_error`; errors of `progressOf`
 */
export async function shownLogs(
  data: string,
  logs: readonly ListedLog[],
  progressOf: (log: ListedLog, originHash: string) => Promise<Progress | undefined>,
): Promise<ShownLog[]> {
  const [{ cosignerFiles }, { listEvidence }, { originHash }] = await Promise.all([
    import('../witness/cosigner-folder.ts'),
    import('../witness/evidence-folder.ts'),
    import('../witness/logs.ts'),
  ])
  const evidence = await listEvidence(cosignerFiles(data).evidence)
  const shown: ShownLog[] = []
  for (const log of logs) {
    const hash = originHash(log.origin)
    const evidenceFiles = evidence.filter((name) => name.startsWith(hash.slice(0, 16))).length
    const progress = await progressOf(log, hash)
    shown.push({ ...logAsJson(log), url: log.url, originHash: hash, ...progress, evidenceFiles })
  }
  return shown
}

/** Prints the list. */
export async function showLogs(
  { terminal }: Context,
  kind: CosignerKind,
  logs: readonly ShownLog[],
): Promise<void> {
  if (terminal.json) return terminal.jsonLine(logs)
  for (const log of logs) {
    const { origin, cosignedAtSeconds, evidenceFiles } = log
    const at = cosignedAtSeconds === undefined ? [] : [new Date(cosignedAtSeconds * 1000).toISOString()]
    const evidence = evidenceFiles > 0 ? [`evidence: ${evidenceFiles}`] : []
    await terminal.row([origin, sizes(log) ?? `a ${kind} is running`, ...at, ...evidence])
  }
}

function sizes({ treeSize, nextEntry = 0, pendingSize }: ShownLog): string | undefined {
  if (treeSize === undefined) return undefined
  const size = `size ${formatCount(treeSize)}`
  if (pendingSize === undefined) return size
  return `${size}, stored ${formatCount(nextEntry)}, pending ${formatCount(pendingSize)}`
}

/** The folder: flag, environment variable, or default. A log's data folder has other variables. */
export function cosignerFolder({ command, io }: Context, kind: CosignerKind): string {
  const { data } = command.optsWithGlobals<{ data?: string }>()
  return data ?? (io.env[`STELE_${kind.toUpperCase()}_DATA`] || kind)
}

/** The values of `--only`. */
export const COSIGNER_TYPES = {
  ed25519: KEY_TYPE.ed25519Cosignature,
  'ml-dsa-44': KEY_TYPE.mlDsa44Cosignature,
} as const satisfies Record<string, CosignerKeyType>

/** The key types to make: all, or the one of `--only`. */
export function cosignerTypes(only: keyof typeof COSIGNER_TYPES | undefined): CosignerKeyType[] {
  return only ? [COSIGNER_TYPES[only]] : Object.values(COSIGNER_TYPES)
}

/** @throws SteleError `usage` for an invalid key name */
export function checkCosignerName(name: string): void {
  try {
    checkKeyName(name, '--name')
  } catch (error) {
    if (!hasCode(error, 'malformed')) throw error
    throw new SteleError('usage', error.message, { cause: error })
  }
}

/** The public keys of a cosigner. */
export function ownKeys({ verifierKeys }: CosignerInfo): VerifierKey[] {
  return verifierKeys.map((vkey) => parseVerifierKey(vkey))
}

/** The name that all keys of a log share. @throws SteleError `usage` */
function nameOf(keys: readonly VerifierKey[]): string {
  const names = new Set(keys.map(({ name }) => name))
  if (names.size === 1) return keys[0]!.name
  throw new SteleError('usage', 'expected keys with the same name, or --origin to name the log')
}

/** The options of `add-log` beside the keys. */
export interface ToldLog {
  readonly origin?: string
}

/** The options of `add-log`, for a witness and for a mirror. */
export function addLogOptions(command: Command): Command {
  return command.option('--origin <text>', 'first line of its checkpoints (default: the name of the key)')
}

/**
 * The log that the arguments of `add-log` describe: the given keys, and those that rotation statements lead to from
 * them.
 *
 * @throws SteleError `usage`; as `trustedKeys`
 */
export async function toldLog(
  { io, rotationsFile }: Context,
  { origin: named }: ToldLog,
  vkeys: readonly string[],
): Promise<WitnessedLog> {
  const verifiers = asUsage(() => vkeys.map((vkey) => parseVerifierKey(vkey.trim())))
  const origin = named ?? nameOf(verifiers)
  return { origin, keys: await trustedKeys(io, { origin, verifiers }, rotationsFile) }
}

/** A log in JSON output. */
function logAsJson({ origin, keys }: WitnessedLog): { origin: string; verifierKeys: string[] } {
  return { origin, verifierKeys: keys.map(formatVerifierKey) }
}
