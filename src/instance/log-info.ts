import { z } from 'zod'
import { SteleError } from '../errors.ts'
import { parseVerifierKey } from '../note/key.ts'
import { formatJson, parseJson } from './json-file.ts'
import { firstVerifierKey } from './key-times.ts'

/** A moment in a log's life. */
const moment = z.strictObject({ treeSize: z.int().min(0), timestampMs: z.int().min(0) })

const key = z.strictObject({
  verifierKey: z.string(),
  /** Its private half, in the log's folder. */
  file: z.string().regex(/^[a-z0-9][a-z0-9.-]*\.skey$/),
  /** It signs every head from this time on. */
  since: moment,
  /** Until when it was announced to sign beside its successor, in seconds since 1970. */
  overlapUntilSeconds: z.int().min(0).optional(),
  /** It signs no head from this time on. */
  retired: moment.optional(),
})

const common = {
  origin: z.string().min(1),
  /** The first key that signs, of those that are Ed25519. */
  verifierKey: z.string(),
  treeHeadKey: z.string(),
  allowDuplicates: z.boolean(),
  /** Who reads entries: anybody, those with a key, or, of the log of who did what, auditors. */
  reads: z.enum(['public', 'private', 'meta']).default('public'),
  /** Whether checkpoints and tiles above level 0 are for anybody. */
  heads: z.enum(['open', 'closed']).default('open'),
  createdAt: z.string(),
  /** Where the head file is, if not in this folder. */
  headFile: z.string().optional(),
}

/** The form before a log could have several keys: no version, one key in `log.skey`. */
const version1 = z.strictObject(common)
const version2 = z.strictObject({
  version: z.literal(2),
  ...common,
  /** All keys that it ever had for its checkpoints, oldest first. */
  keys: z.array(key).min(1),
  /** What old keys said of new ones: signed notes, oldest first. */
  rotations: z.array(z.string()).default([]),
})

/** A key of a log, and when it signs. */
export type LogKey = z.infer<typeof key>
/** What a log is, as `log.json` says. */
export type LogInfo = z.infer<typeof version2>

/** The file of the key that a log is made with. */
export const FIRST_KEY_FILE = 'log.skey'

/** Signs from the beginning. */
export function firstKey(verifierKey: string): LogKey {
  return { verifierKey, file: FIRST_KEY_FILE, since: { treeSize: 0, timestampMs: 0 } }
}

/**
 * Reads a `log.json`, of this version or the one before.
 *
 * @param where names it in error messages
 * @throws SteleError `foreign_format` for any other, and for one whose parts contradict each other
 */
export function parseLogInfo(text: string, where: string): LogInfo {
  const value = parseJson(text, where)
  const hasVersion = typeof value === 'object' && value !== null && 'version' in value
  const info = hasVersion ? parsed(version2, value, where) : upgraded(parsed(version1, value, where))
  checkKeys(info, where)
  return info
}

/** Inverse of {@link parseLogInfo}, in the form of this version. */
export function formatLogInfo(info: LogInfo): string {
  return formatJson(info)
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value)
  if (!result.success) throw foreign(where, z.prettifyError(result.error))
  return result.data
}

function upgraded(info: z.infer<typeof version1>): LogInfo {
  return { version: 2, ...info, keys: [firstKey(info.verifierKey)], rotations: [] }
}

function checkKeys({ keys, verifierKey }: LogInfo, where: string): void {
  for (const { verifierKey: vkey } of keys) {
    try {
      parseVerifierKey(vkey)
    } catch (error) {
      if (error instanceof SteleError) throw foreign(where, error.message)
      throw error
    }
  }
  const first = firstVerifierKey(keys)
  if (first !== verifierKey)
    throw foreign(where, `expected verifierKey ${first ?? 'of a key that signs'}, got ${verifierKey}`)
}

function foreign(where: string, message: string): SteleError {
  return new SteleError('foreign_format', `${where}: ${message}`)
}
