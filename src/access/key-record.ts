import * as z from 'zod'
import { ROLES } from './role.ts'

/** The stored record of an API key. */
export const keyRecordSchema = z.strictObject({
  id: z.string(),
  role: z.enum(ROLES),
  /** All logs, or these. */
  logs: z.union([z.literal('*'), z.array(z.string()).min(1)]),
  /** SHA-256 of the key's text, hex. */
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** A label chosen by its maker. */
  label: z.string(),
  createdAt: z.iso.datetime(),
  /** Id of the key, or name of the command, that made it. */
  createdBy: z.string(),
  /** Absent only for the provisioning key. */
  expiresAt: z.iso.datetime().optional(),
  /** Addresses and networks that it may be used from; absent: any. */
  addresses: z.array(z.string()).min(1).optional(),
  /** Requests per second, in place of the server's own limit. */
  requestsPerSecond: z.number().positive().optional(),
  revokedAt: z.iso.datetime().optional(),
  /** The key that replaces it; until `expiresAt` both are valid. */
  successor: z.string().optional(),
})
export type KeyRecord = z.infer<typeof keyRecordSchema>

/** A key as shown in lists. */
export type KeyInfo = Omit<KeyRecord, 'hash'> & {
  readonly state: KeyState
  /** Ids of the keys that were revoked together with this one, because it had made them. */
  readonly alsoRevoked?: readonly string[] | undefined
}
/** Whether an API key can be used. */
export type KeyState = 'valid' | 'expired' | 'revoked'

/** The state of a key at a given time. */
export function stateOf({ revokedAt, expiresAt }: Omit<KeyRecord, 'hash'>, nowMs: number): KeyState {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && Date.parse(expiresAt) <= nowMs ? 'expired' : 'valid'
}

const DAY_MS = 86_400_000
/** How long before its expiry a key is reported. */
export const ENDS_SOON_DAYS = 14

/**
 * True for a key that expires soon and has no successor. Keys made for at most twice the warning time are not reported:
 * their expiry is intended.
 */
export function endsSoon(record: Omit<KeyRecord, 'hash'>, nowMs: number): boolean {
  const { createdAt, expiresAt, successor } = record
  if (expiresAt === undefined || successor !== undefined || stateOf(record, nowMs) !== 'valid') return false
  const endMs = Date.parse(expiresAt)
  const soonMs = ENDS_SOON_DAYS * DAY_MS
  return endMs - nowMs <= soonMs && endMs - Date.parse(createdAt) > 2 * soonMs
}

/** The public part of a key's record. */
export function infoOf(record: KeyRecord, nowMs: number): KeyInfo {
  const shown: Omit<KeyRecord, 'hash'> & { hash?: string } = { ...record }
  delete shown.hash
  return { ...shown, state: stateOf(record, nowMs) }
}
