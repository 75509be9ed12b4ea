import type { CosignerKind } from '../witness/cosigner-folder.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { MAX_NOTE_BYTES, type VerifierKey } from '../note/note.ts'
import type { ListedLog } from '../witness/log-list.ts'
import type { Context } from './context.ts'
import { cosignerFolder, logAsJson, ownKeys } from './cosigner-options.ts'
import { formatCount } from './output/units.ts'

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
export interface ShownLog extends Partial<Progress> {
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
