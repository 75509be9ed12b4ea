import { z } from 'zod'
import { SteleError } from '../../errors.ts'

/**
 * The files of a backup beside those of c2sp.org/tlog-tiles. The private keys, which are called as in the log's folder,
 * are there only if they were asked for.
 *
 * What belongs to one checkpoint is written under names of its own, which end with the run's generation, and the
 * description that names the generation comes last: a run that is cut short changes nothing that an earlier one wrote.
 */
export const BACKUP_FILES = {
  description: 'stele-backup.json',
  /** The checkpoint that all of it belongs to; the one without a generation is for readers of the tiles. */
  checkpoint: 'checkpoint',
  /** As in the log's folder, byte for byte: keys with their times, rotations, who reads. */
  info: 'log.json',
  policy: 'policy',
  published: 'published',
  treeHeadKey: 'tree-head.pem',
} as const

/** What a private key of the checkpoints can be called, first or later. */
export const KEY_FILE = /^[a-z0-9][a-z0-9.-]*\.skey$/

const GENERATION = /^[0-9a-f]{16}$/
const OF_A_GENERATION = /^(checkpoint|log\.json|policy|published)(?:\.([0-9a-f]{16}))?$/

/** The name of a file in one generation; undefined: as backups of version 1 have it. */
export function nameIn(generation: string | undefined, path: string): string {
  return generation === undefined ? path : `${path}.${generation}`
}

/** Whether a file of a backup belongs to some generation, as a file of a tar may. */
export function isOfGeneration(name: string): boolean {
  return OF_A_GENERATION.test(name)
}

/** Whether a file of a backup is of another generation than this one, and so of no more use. */
export function isSuperseded(name: string, generation: string): boolean {
  const [, , other] = OF_A_GENERATION.exec(name) ?? [undefined, undefined, generation]
  return other !== generation && name !== BACKUP_FILES.checkpoint
}

const FORMAT = 'stele log backup'
const VERSION = 2

const schema = z.object({
  format: z.literal(FORMAT),
  /** 1: without a generation. */
  version: z.union([z.literal(1), z.literal(VERSION)]),
  /** What the log was called where it was saved. */
  name: z.string(),
  origin: z.string().min(1),
  verifierKey: z.string(),
  /** Whether it takes entries; missing where nobody said so. */
  ending: z
    .discriminatedUnion('frozen', [
      z.object({ frozen: z.literal(false) }),
      z.object({ frozen: z.literal(true), successor: z.string().optional() }),
    ])
    .optional(),
  /** Whether the log has a policy, and so witnesses: `kept` says that it is in the backup. */
  policy: z.enum(['kept', 'none', 'unknown']),
  /** The newest tree head of RFC 6962 that was seen, as `get-sth` has it; as a rule the checkpoint's. */
  treeHead: z
    .object({
      treeSize: z.int().min(0),
      timestampMs: z.int().min(0),
      rootHash: z.string().regex(/^[0-9a-f]{64}$/),
      signature: z.base64(),
    })
    .optional(),
  savedAt: z.string(),
  /** Which files beside it count. */
  generation: z.string().regex(GENERATION).optional(),
})

/** Whether a log has ended: `successor` goes on in its place. */
export type EndingState = { readonly frozen: false } | { readonly frozen: true; readonly successor?: string }

/** What a log is, as far as its tiles and its `log.json` do not say it. Not signed: a backup is guarded like the log itself. */
export type BackupDescription = Omit<z.infer<typeof schema>, 'format' | 'version' | 'ending'> & {
  readonly ending?: EndingState
}

/** The text of `stele-backup.json`. */
export function formatDescription(description: BackupDescription): string {
  return `${JSON.stringify({ format: FORMAT, version: VERSION, ...description }, null, 2)}\n`
}

/** @throws SteleError `corrupt` for what is no description; `foreign_format` for one of a newer version */
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
