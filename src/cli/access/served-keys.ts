import * as z from 'zod'
import { keyRecordSchema, type KeyInfo } from '../../access/key-record.ts'
import type { MadeKey, NewKey } from '../../access/keyring.ts'
import { ServedApi } from './served-api.ts'

export const KEYS_PATH = '/v1/keys'
const Info = keyRecordSchema.omit({ hash: true }).extend({
  state: z.enum(['valid', 'expired', 'revoked']),
  alsoRevoked: z.array(z.string()).optional(),
})
const Made = z.object({ key: z.string(), info: Info })
/** All keys that the credentials may know of. */
export const KeyList = z.object({ keys: z.array(Info) })

/** The keys of a running server, as far as the credentials reach. */
export function servedKeys(
  server: string,
  headers: Readonly<Record<string, string>>,
): {
  create(wanted: NewKey): Promise<MadeKey>
  list(): Promise<readonly KeyInfo[]>
  rotate(id: string, overlapSeconds: number): Promise<MadeKey>
  revoke(id: string, cascade: boolean): Promise<KeyInfo>
} {
  const api = new ServedApi(server, headers, { about: 'API keys' })
  const of = (id: string): string => `${KEYS_PATH}/${encodeURIComponent(id)}`
  return {
    create: (wanted) => api.post(KEYS_PATH, wanted, Made),
    list: async () => api.parsed(await api.get(KEYS_PATH), KEYS_PATH, KeyList).keys,
    rotate: (id, overlapSeconds) => api.post(`${of(id)}/rotate`, { overlapSeconds }, Made),
    // Servers that know no cascade get the body that they know.
    revoke: (id, cascade) => api.post(`${of(id)}/revoke`, cascade ? { cascade } : {}, Info),
  }
}
