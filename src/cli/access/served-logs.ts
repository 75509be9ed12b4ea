import type * as z from 'zod'
import { ChangedKey, FrozenLog, LogDescription, LogPolicy, LogVisibility } from '../../http/schemas.ts'
import { ServedApi } from './served-api.ts'

/** Closing and opening a log with slow witnesses takes its time. */
const TIMEOUT_MS = 120_000

/** What a running server is asked. */
export interface ServedLogs {
  create(wanted: object): Promise<z.output<typeof LogDescription>>
  freeze(name: string, successor: string | undefined): Promise<z.output<typeof FrozenLog>>
  addKey(name: string, wanted: object): Promise<z.output<typeof ChangedKey>>
  retireKey(name: string, keyId: string, beforeOverlapEnds: boolean): Promise<z.output<typeof ChangedKey>>
  setPolicy(name: string, policy: string | null): Promise<z.output<typeof LogPolicy>>
  setAccess(name: string, wanted: object): Promise<z.output<typeof LogVisibility>>
}

/** The logs of a running server, as far as the credentials reach. */
export function servedLogs(server: string, headers: Readonly<Record<string, string>>): ServedLogs {
  const api = new ServedApi(server, headers, { about: 'logs', timeoutMs: TIMEOUT_MS })
  const of = (name: string): string => `/v1/logs/${encodeURIComponent(name)}`
  return {
    create: (wanted) => api.post('/v1/logs', wanted, LogDescription),
    freeze: (name, successor) => api.post(`${of(name)}/freeze`, { successor }, FrozenLog),
    addKey: (name, wanted) => api.post(`${of(name)}/keys`, wanted, ChangedKey),
    retireKey: (name, keyId, beforeOverlapEnds) =>
      api.post(`${of(name)}/keys/${encodeURIComponent(keyId)}/retire`, { beforeOverlapEnds }, ChangedKey),
    setPolicy: (name, policy) => api.post(`${of(name)}/policy`, { policy }, LogPolicy),
    setAccess: (name, wanted) => api.post(`${of(name)}/access`, wanted, LogVisibility),
  }
}
