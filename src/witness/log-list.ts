import { rm } from 'node:fs/promises'
import { z } from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { readTextFile, replaceFile, writeNewFile } from '../storage/files.ts'
import { checkLogs, type WitnessedLog } from './logs.ts'
import type { CosignerKind } from './cosigner-folder.ts'
import { formatJson } from '../instance/json-file.ts'

const witnessed = { origin: z.string().min(1), keys: z.array(z.string()).min(1) }

/**
 * `logs.json`: the logs that a witness or a mirror cosigns for, each with its origin and its verifier keys. Those of a
 * mirror may have the URL at which they are followed, and the file of the API key that is shown there.
 */
const SCHEMAS = {
  witness: z.strictObject({ logs: z.array(z.strictObject(witnessed)) }),
  mirror: z.strictObject({
    logs: z.array(
      z.strictObject({ ...witnessed, url: z.string().optional(), apiKeyFile: z.string().optional() }),
    ),
  }),
} as const

/** A log of such a list. */
export interface ListedLog extends WitnessedLog {
  /** The prefix of its files, for a mirror to follow. */
  readonly url?: string | undefined
  /** Holds the API key that this URL is shown, and no other. */
  readonly apiKeyFile?: string | undefined
}

/** The list as text. */
export function formatLogList(logs: readonly ListedLog[]): string {
  const list = logs.map(({ keys, ...log }) => {
    return { origin: log.origin, keys: keys.map(formatVerifierKey), url: log.url, apiKeyFile: log.apiKeyFile }
  })
  return formatJson({ logs: list })
}

/**
 * Reads the list, and refuses one that a cosigner with these keys cannot have.
 *
 * @param own the public keys of the cosigner
 * @throws SteleError `usage` for a mistake in the list; `not_initialised` if there is no list; `io_error`
 */
export async function readLogList(
  path: string,
  own: readonly VerifierKey[],
  kind: CosignerKind = 'witness',
): Promise<ListedLog[]> {
  const text = await readTextFile(path)
  if (text === undefined)
    throw new SteleError('not_initialised', `${path}: expected a list of logs, found none`)
  const logs = inList(path, () => parseLogList(text, kind))
  inList(path, () => checkLogs(logs, own))
  return logs
}

/**
 * Adds a log to the list, or another key to a log that is on it. The list is replaced atomically.
 *
 * @throws SteleError `already_exists` for a key that the log has, or while another process is changing the list;
 *   `usage` for a log that a witness with these keys cannot have; as {@link readLogList}
 */
export function addToLogList(
  path: string,
  own: readonly VerifierKey[],
  { origin, keys, url, apiKeyFile }: ListedLog,
  kind: CosignerKind = 'witness',
): Promise<ListedLog> {
  return changeLogList(path, own, kind, (logs) => {
    const before = logs.find((log) => log.origin === origin)
    const added = keys.filter((key) => !isIn(key, before?.keys))
    const all = [...(before?.keys ?? []), ...added]
    const log = { origin, keys: all, ...whereFollowed({ url, apiKeyFile }, before) }
    checkKeyHasUrl(path, log)
    const same = log.url === before?.url && log.apiKeyFile === before?.apiKeyFile
    if (added.length === 0 && same) {
      throw new SteleError(
        'already_exists',
        `${path}: the log ${origin} is there, with these keys; nothing was changed`,
      )
    }
    const next = before ? logs.map((other) => (other === before ? log : other)) : [...logs, log]
    return { next, changed: log }
  })
}

/**
 * Removes a log from the list. Its state stays in the folder, and is used again if the log is added again.
 *
 * @throws SteleError `not_found` for a log that is not on it; `already_exists` while another process is changing the
 *   list; as {@link readLogList}
 */
export function dropFromLogList(
  path: string,
  own: readonly VerifierKey[],
  origin: string,
  kind: CosignerKind = 'witness',
): Promise<ListedLog> {
  return changeLogList(path, own, kind, (logs) => {
    const changed = logs.find((log) => log.origin === origin)
    if (!changed) {
      throw new SteleError(
        'not_found',
        `${path}: the log ${excerpt(origin)} is not there; nothing was changed`,
      )
    }
    return { next: logs.filter((log) => log !== changed), changed }
  })
}

async function changeLogList(
  path: string,
  own: readonly VerifierKey[],
  kind: CosignerKind,
  change: (logs: readonly ListedLog[]) => { next: readonly ListedLog[]; changed: ListedLog },
): Promise<ListedLog> {
  const building = `${path}.part`
  // Made before the list is read, and only one process can make it, so that two concurrent changes cannot lose a log.
  await writeNewFile(building, '').catch((error: unknown) => {
    throw beingChanged(building, error)
  })
  try {
    const { next, changed } = change(await readLogList(path, own, kind))
    checkLogs(next, own)
    await replaceFile(path, formatLogList(next))
    return changed
  } finally {
    await rm(building, { force: true })
  }
}

type Followed = Pick<ListedLog, 'url' | 'apiKeyFile'>

/** An API key belongs to its URL: when the URL changes, the key is not sent to the new one. */
function whereFollowed({ url, apiKeyFile }: Followed, before: Followed | undefined): Followed {
  const moved = url !== undefined && url !== before?.url
  return { url: url ?? before?.url, apiKeyFile: apiKeyFile ?? (moved ? undefined : before?.apiKeyFile) }
}

function checkKeyHasUrl(path: string, { origin, url, apiKeyFile }: ListedLog): void {
  if (apiKeyFile === undefined || url !== undefined) return
  throw new SteleError('usage', `${path}: the log ${origin}: expected the URL that the API key is for`)
}

function parseLogList(text: string, kind: CosignerKind): ListedLog[] {
  const list = SCHEMAS[kind].safeParse(JSON.parse(text))
  if (!list.success) throw new SteleError('usage', z.prettifyError(list.error))
  return list.data.logs.map((log: Omit<ListedLog, 'keys'> & { keys: string[] }) => ({
    ...log,
    keys: log.keys.map((key) => parseVerifierKey(key)),
  }))
}

/** Operators write this file, so errors in it are theirs and name the place. */
function inList<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const isTheirs =
      cause instanceof SyntaxError || (cause instanceof SteleError && cause.code !== 'internal')
    if (!isTheirs) throw cause
    throw new SteleError('usage', `${path}: ${cause.message}`, { cause })
  }
}

function beingChanged(path: string, error: unknown): unknown {
  if (!(error instanceof SteleError) || error.code !== 'already_exists') return error
  const message = `${path}: the list is being changed by another process, or a change was cut short: then delete this file`
  return new SteleError('already_exists', message, { cause: error })
}

function isIn(key: VerifierKey, keys: readonly VerifierKey[] = []): boolean {
  return keys.some((other) => formatVerifierKey(other) === formatVerifierKey(key))
}
