import type * as z from 'zod'
import { encodeUtf8 } from '../../bytes/text.ts'
import { Transport } from '../../client/transport.ts'
import { SteleError } from '../../errors.ts'
import { ChangedKey, FrozenLog, LogDescription, LogPolicy, LogVisibility } from '../../http/schemas.ts'

const MAX_ANSWER_BYTES = 16 * 1024 * 1024
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
  const transport = new Transport({ headers, timeoutMs: TIMEOUT_MS })
  const base = `${server.replace(/\/+$/, '')}/v1/logs`
  const post = async <S extends z.ZodType>(path: string, body: object, schema: S): Promise<z.output<S>> => {
    const answer = await transport.ask(base + path, {
      method: 'POST',
      body: encodeUtf8(JSON.stringify(body)),
      expect: [200, 201],
      maxBytes: MAX_ANSWER_BYTES,
    })
    return parsed(schema, answer.body, base + path)
  }
  const of = (name: string): string => `/${encodeURIComponent(name)}`
  return {
    create: (wanted) => post('', wanted, LogDescription),
    freeze: (name, successor) => post(`${of(name)}/freeze`, { successor }, FrozenLog),
    addKey: (name, wanted) => post(`${of(name)}/keys`, wanted, ChangedKey),
    retireKey: (name, keyId, beforeOverlapEnds) =>
      post(`${of(name)}/keys/${encodeURIComponent(keyId)}/retire`, { beforeOverlapEnds }, ChangedKey),
    setPolicy: (name, policy) => post(`${of(name)}/policy`, { policy }, LogPolicy),
    setAccess: (name, wanted) => post(`${of(name)}/access`, wanted, LogVisibility),
  }
}

/** JSON of this form. @throws SteleError `unexpected_answer` */
export function parsed<S extends z.ZodType>(schema: S, body: Uint8Array, where: string): z.output<S> {
  try {
    return schema.parse(JSON.parse(new TextDecoder().decode(body)))
  } catch (error) {
    throw new SteleError('unexpected_answer', `${where}: expected an answer about logs`, { cause: error })
  }
}
