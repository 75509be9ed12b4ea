import { z } from 'zod'
import { SteleError } from '../errors.ts'
import { parseVerifierKey } from '../note/key.ts'
import { formatJson, parseJson } from './json-file.ts'
import { firstVerifierKey } from './key-times.ts'

/** A point in a log's history. */
const moment = z.strictObject({ treeSize: z.int().min(0), timestampMs: z.int().min(0) })

const key = z.strictObject({
  verifierKey: z.string(),
  /** Its private key, in the log's folder. */
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
  /** The first Ed25519 key that signs. */
  verifierKey: z.string(),
  treeHeadKey: z.string(),
  allowDuplicates: z.boolean(),
  /** Who reads entries: everyone, callers with a key, or, for the meta log, auditors. */
  reads: z.enum(['public', 'private', 'meta']).default('public'),
  /** Whether everyone may read checkpoints and tiles above level 0. */
  heads: z.enum(['open', 'closed']).default('open'),
  createdAt: z.string(),
  /** Path of the head file, if it is not in this folder. */
  headFile: z.string().optional(),
}

/** The format before logs could have several keys: no version, one key in `log.skey`. */
const version1 = z.strictObject(common)
const version2 = z.strictObject({
  version: z.literal(2),
  ...common,
  /** All checkpoint keys that it ever had, oldest first. */
  keys: z.array(key).min(1),
  /** Rotation statements: signed notes, oldest first. */
  rotations: z.array(z.string()).default([]),
})

/** A key of a log, with its times. */
export type LogKey = z.infer<typeof key>
/** The content of `log.json`. */
export type LogInfo = z.infer<typeof version2>

/** The file of a log's first key. */
export const FIRST_KEY_FILE = 'log.skey'

/** A key that signs from the first head on. */
export function firstKey(verifierKey: string): LogKey {
  return { verifierKey, file: FIRST_KEY_FILE, since: { treeSize: 0, timestampMs: 0 } }
}

/**
 * Parses a `log.json` of this version or the one before.
 *
 * @param where names the file in error messages
 * @throws SteleError `foreign_format` for any other version, and for a file that contradicts itself
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
