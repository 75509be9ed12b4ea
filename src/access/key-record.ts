import * as z from 'zod'
import { ROLES } from './role.ts'

/** What is stored of an API key. */
export const keyRecordSchema = z.strictObject({
  id: z.string(),
  role: z.enum(ROLES),
  /** All logs, or these. */
  logs: z.union([z.literal('*'), z.array(z.string()).min(1)]),
  /** SHA-256 of the key's text, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** What its maker called it. */
  label: z.string(),
  createdAt: z.iso.datetime(),
  /** Id of the key, or name of the command, that made it. */
  createdBy: z.string(),
  /** Absent for the provisioning key alone. */
  expiresAt: z.iso.datetime().optional(),
  /** Addresses and networks it may come from; absent: any. */
  addresses: z.array(z.string()).min(1).optional(),
  /** Requests per second, in place of the server's own limit. */
  requestsPerSecond: z.number().positive().optional(),
  revokedAt: z.iso.datetime().optional(),
  /** The key that takes its place; until `expiresAt` both are valid. */
  successor: z.string().optional(),
})
export type KeyRecord = z.infer<typeof keyRecordSchema>

/** A key as lists show it. */
export type KeyInfo = Omit<KeyRecord, 'hash'> & {
  readonly state: KeyState
  /** Ids of the keys that were revoked together with this one, because it had made them. */
  readonly alsoRevoked?: readonly string[] | undefined
}
/** Whether an API key can be used. */
export type KeyState = 'valid' | 'expired' | 'revoked'

/** Whether a key is good at a moment. */
export function stateOf({ revokedAt, expiresAt }: Omit<KeyRecord, 'hash'>, nowMs: number): KeyState {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowMs ? 'expired' : 'valid'
}

const DAY_MS = 86_400_000
/** Somebody should know of the end of a key this long before. */
export const ENDS_SOON_DAYS = 14

/**
 * Whether a key is about to end, and nobody has seen to it: it has no successor, and was made for more than twice as long
 * as the warning takes, for a shorter one ends on purpose.
 */
export function endsSoon(record: Omit<KeyRecord, 'hash'>, nowMs: number): boolean {
  const { createdAt, expiresAt, successor } = record
  if (expiresAt === undefined || successor !== undefined || stateOf(record, nowMs) !== 'valid') return false
  const endMs = Date.parse(expiresAt)
  const soonMs = ENDS_SOON_DAYS * DAY_MS
  return endMs - nowMs <= soonMs && endMs - Date.parse(createdAt) > 2 * soonMs
}

/** What may be said of a key. */
export function infoOf(record: KeyRecord, nowMs: number): KeyInfo {
  const shown: Omit<KeyRecord, 'hash'> & { hash?: string } = { ...record }
  delete shown.hash
  return { ...shown, state: stateOf(record, nowMs) }
}
