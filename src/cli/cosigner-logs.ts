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

/** How long a cosigner on this machine is waited for. */
const PATIENCE_MS = 5000

/**
 * Puts a log on the list of a cosigner, and tells programs what is known of it now.
 *
 * @param makeRoom run before the log is on the list, in a folder that is a cosigner's
 * @throws SteleError as `readCosignerInfo` and `addToLogList`; what `makeRoom` throws
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
 * Takes a log off the list of a cosigner. What is known of it stays in the folder.
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
  context.terminal.note(`What ${data} knows of ${origin} is kept, and counts again if it is added again.`)
}

/** How far a log is, as the folder of a cosigner says. */
export interface Progress {
  /** Of the checkpoint that was cosigned last; 0 if there is none. */
  readonly treeSize: number
  /** Of a mirror: what the log has signed, and what is stored. */
  readonly pendingSize?: number
  readonly nextEntry?: number
  readonly cosignedAtSeconds?: number
}

/**
 * What a cosigner that runs on the folder serves of a log, verified by its keys.
 *
 * @returns undefined where nothing says where it is, or where it does not answer
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

/** What `list` shows of a log. Its progress is not known where a cosigner runs on the folder and does not answer. */
interface ShownLog extends Partial<Progress> {
  readonly origin: string
  readonly verifierKeys: readonly string[]
  readonly url?: string | undefined
  readonly originHash: string
  readonly evidenceFiles: number
}

/**
 * What is to be shown of the logs of a cosigner's list.
 *
 * @param progressOf asked for one log after the other
 * @throws SteleError `io_error`; what `progressOf` throws
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

/** Shows them. */
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

/** The folder that is meant: flag, environment, default. A log's data folder is another, with other variables. */
export function cosignerFolder({ command, io }: Context, kind: CosignerKind): string {
  const { data } = command.optsWithGlobals<{ data?: string }>()
  return data ?? (io.env[`STELE_${kind.toUpperCase()}_DATA`] || kind)
}

/** What `--only` can say. */
export const COSIGNER_TYPES = {
  ed25519: KEY_TYPE.ed25519Cosignature,
  'ml-dsa-44': KEY_TYPE.mlDsa44Cosignature,
} as const satisfies Record<string, CosignerKeyType>

/** The types of keys that are to be made: all, or the one of `--only`. */
export function cosignerTypes(only: keyof typeof COSIGNER_TYPES | undefined): CosignerKeyType[] {
  return only ? [COSIGNER_TYPES[only]] : Object.values(COSIGNER_TYPES)
}

/** @throws SteleError `usage` for what is not the name of a key */
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

/** The one name that keys of a log have. @throws SteleError `usage` */
function nameOf(keys: readonly VerifierKey[]): string {
  const names = new Set(keys.map(({ name }) => name))
  if (names.size === 1) return keys[0]!.name
  throw new SteleError('usage', 'expected keys of one name, or --origin: which log are they of?')
}

/** What `add-log` is told of a log beside its keys. */
export interface ToldLog {
  readonly origin?: string
}

/** The options of `add-log`, at a witness and at a mirror. */
export function addLogOptions(command: Command): Command {
  return command.option('--origin <text>', 'first line of its checkpoints (default: the name of the key)')
}

/**
 * The log that `add-log` is told of: the keys given, and those that statements by them lead to.
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

/** A log as JSON results show it. */
function logAsJson({ origin, keys }: WitnessedLog): { origin: string; verifierKeys: string[] } {
  return { origin, verifierKeys: keys.map(formatVerifierKey) }
}
