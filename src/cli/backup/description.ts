import { z } from 'zod'
import { equalBytes } from '../../bytes/bytes.ts'
import { decodeUtf8 } from '../../bytes/text.ts'
import { type LogFiles, logPrefix } from '../../client/http-files.ts'
import { Transport } from '../../client/transport.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { parseCheckpoint } from '../../note/checkpoint.ts'
import { parseGetSth } from '../../note/get-sth.ts'
import { parseNote } from '../../note/note.ts'
import type { SignedTreeHead } from '../../note/tree-head.ts'

/**
 * The files of a backup beside those of c2sp.org/tlog-tiles. Private keys are included only if requested, under their
 * names in the log's folder.
 *
 * Files that belong to one checkpoint have names that end with the generation of the run. The description, which names
 * the generation, is written last. An interrupted run therefore changes nothing that an earlier run wrote.
 */
export const BACKUP_FILES = {
  description: 'stele-backup.json',
  /** The checkpoint of the backup. A copy without a generation is for readers of the tiles. */
  checkpoint: 'checkpoint',
  /** A byte-for-byte copy of the log's file: keys with their times, rotations, visibility. */
  info: 'log.json',
  policy: 'policy',
  published: 'published',
  treeHeadKey: 'tree-head.pem',
} as const

/** Names of private key files for checkpoints. */
export const KEY_FILE = /^[a-z0-9][a-z0-9.-]*\.skey$/

const GENERATION = /^[0-9a-f]{16}$/
const OF_A_GENERATION = /^(checkpoint|log\.json|policy|published)(?:\.([0-9a-f]{16}))?$/

/** The name of a file in one generation; undefined for backups of version 1. */
export function nameIn(generation: string | undefined, path: string): string {
  return generation === undefined ? path : `${path}.${generation}`
}

/** Whether a file belongs to a generation (in a tar, to any). */
export function isOfGeneration(name: string): boolean {
  return OF_A_GENERATION.test(name)
}

/** Whether a file belongs to another generation, and is therefore obsolete. */
export function isSuperseded(name: string, generation: string): boolean {
  const [, , other] = OF_A_GENERATION.exec(name) ?? [undefined, undefined, generation]
  return other !== generation && name !== BACKUP_FILES.checkpoint
}

const FORMAT = 'stele log backup'
const VERSION = 2

const schema = z.object({
  format: z.literal(FORMAT),
  /** Version 1 has no generation. */
  version: z.union([z.literal(1), z.literal(VERSION)]),
  /** The name of the log where it was saved. */
  name: z.string(),
  origin: z.string().min(1),
  verifierKey: z.string(),
  /** Whether the log has ended; missing if unknown. */
  ending: z
    .discriminatedUnion('frozen', [
      z.object({ frozen: z.literal(false) }),
      z.object({ frozen: z.literal(true), successor: z.string().optional() }),
    ])
    .optional(),
  /** Whether the log has a policy, and so witnesses. `kept`: the policy is in the backup. */
  policy: z.enum(['kept', 'none', 'unknown']),
  /** The newest known RFC 6962 tree head, as in `get-sth`; usually for the checkpoint's tree. */
  treeHead: z
    .object({
      treeSize: z.int().min(0),
      timestampMs: z.int().min(0),
      rootHash: z.string().regex(/^[0-9a-f]{64}$/),
      signature: z.base64(),
    })
    .optional(),
  savedAt: z.string(),
  /** The generation of the files that are valid. */
  generation: z.string().regex(GENERATION).optional(),
})

/** Whether a log has ended; `successor` is the URL of the log that continues it. */
export type EndingState = { readonly frozen: false } | { readonly frozen: true; readonly successor?: string }

/**
 * Facts about a log that its tiles and its `log.json` do not contain. Not signed: a backup must be protected like the
 * log itself.
 */
export type BackupDescription = Omit<z.infer<typeof schema>, 'format' | 'version' | 'ending'> & {
  readonly ending?: EndingState
}

/** The text of `stele-backup.json`. */
export function formatDescription(description: BackupDescription): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...description }, null, 2)}\n`
}

/** @throws SteleError `corrupt` for an invalid description; `foreign_format` for one of a newer version */
export function parseDescription(text: string, where: string): BackupDescription {
  const value = parseJson(text, where)
  const { version } = (value ?? {}) as { version?: unknown }
  if (typeof version === 'number' && version > VERSION) {
    throw new SteleError(
      'foreign_format',
      `${where}: expected a backup of version ${VERSION}, got version ${version}`,
    )
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data as BackupDescription
  throw new SteleError('corrupt', `${where}: ${z.prettifyError(parsed.error)}`)
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new SteleError('corrupt', `${where}: expected JSON: ${(error as Error).message}`, { cause: error })
  }
}

const MAX_LIST_BYTES = 4 * 1024 * 1024

const list = z.object({
  logs: z.array(
    z.object({ path: z.string(), origin: z.string(), state: z.string(), successor: z.string().optional() }),
  ),
})

/**
 * Asks the server of a log whether the log has ended. Call it after reading the checkpoint: the log may have ended in
 * between, but cannot have continued after its end.
 *
 * @param url the log's prefix
 * @returns undefined if unknown: a static copy, a server that is starting, a log that is halted
 * @throws SteleError `unreachable`
 */
export async function readEndingState(
  url: string,
  origin: string,
  headers: Readonly<Record<string, string>>,
): Promise<EndingState | undefined> {
  const { pathname } = new URL(logPrefix(url))
  const prefix = /^(.*)\/logs\/[^/]+\/$/.exec(pathname)?.[1]
  if (prefix === undefined) return undefined
  try {
    const transport = new Transport({ headers })
    const asked = new URL(`${prefix}/v1/logs`, url).href
    const answer = await transport.ask(asked, { maxBytes: MAX_LIST_BYTES, fresh: true })
    const { logs } = list.parse(JSON.parse(decodeUtf8(answer.body, 'v1/logs')))
    const found = logs.find((log) => log.origin === origin && pathname.endsWith(ended(log.path)))
    if (found?.state === 'frozen' || found?.successor !== undefined) {
      return { frozen: true, ...(found.successor === undefined ? {} : { successor: found.successor }) }
    }
    // Other states do not say: a log that waits for its witnesses may have ended.
    return found?.state === 'serving' || found?.state === 'indexing' ? { frozen: false } : undefined
  } catch (error) {
    if (hasCode(error, 'unreachable')) throw error
    return undefined
  }
}

/**
 * Asks a copy of a log, possibly run by another operator, whether the log has ended. Only a positive answer is used: a
 * false negative answer could make a frozen log accept entries.
 *
 * @throws SteleError `unreachable`
 */
export async function readEnd(
  url: string,
  origin: string,
  headers: Readonly<Record<string, string>>,
): Promise<EndingState | undefined> {
  const state = await readEndingState(url, origin, headers)
  return state?.frozen ? state : undefined
}

function ended(path: string): string {
  return path.endsWith('/') ? path : `${path}/`
}

/** The most attempts to read a checkpoint and a tree head of one size from a log that grows. */
const TRIES = 20
const MAX_STH_BYTES = 64 * 1024

/** The head of a log at one moment, not verified. */
interface PinnedHead {
  readonly note: string
  /** A tree head of the same size, if one could be read; undefined for a log without RFC 6962's API. */
  readonly treeHead: SignedTreeHead | undefined
}

/** Reads the log's checkpoint and tree head until both are of one size. @throws SteleError as `HttpFiles` */
export async function pinHead(
  url: string,
  files: LogFiles,
  headers: Readonly<Record<string, string>>,
): Promise<PinnedHead> {
  const transport = new Transport({ headers })
  for (let tries = 1; ; tries++) {
    const [note, treeHead] = await Promise.all([files.checkpoint(), readTreeHead(transport, url)])
    if (tries === TRIES || treeHead === undefined || isSameTree(note, treeHead)) return { note, treeHead }
  }
}

/** The same files under a fixed checkpoint, while the log grows. */
export function withCheckpoint(files: LogFiles, note: string): LogFiles {
  return {
    checkpoint: async () => note,
    tile: (level, index, width) => files.tile(level, index, width),
    bundle: (index, width) => files.bundle(index, width),
  }
}

function isSameTree(note: string, treeHead: SignedTreeHead): boolean {
  const { size, root } = parseCheckpoint(parseNote(note).text)
  return size === treeHead.size && equalBytes(root, treeHead.root)
}

async function readTreeHead(transport: Transport, url: string): Promise<SignedTreeHead | undefined> {
  try {
    const answer = await transport.ask(`${logPrefix(url)}ct/v1/get-sth`, {
      maxBytes: MAX_STH_BYTES,
      fresh: true,
    })
    return parseGetSth(JSON.parse(decodeUtf8(answer.body, 'get-sth')))
  } catch (error) {
    // A mirror, or any log that serves tiles alone: the tree head is re-signed when it is restored.
    if (hasCode(error, 'not_found', 'malformed', 'out_of_range', 'unexpected_answer')) return undefined
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
