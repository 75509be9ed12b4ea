import * as z from 'zod'
import { endsSoon, type KeyInfo, keyRecordSchema } from '../../access/key-record.ts'
import type { MadeKey, NewKey } from '../../access/keyring.ts'
import { encodeUtf8 } from '../../bytes/text.ts'
import { type Answer, Transport } from '../../client/transport.ts'
import { hasCode, SteleError } from '../../errors.ts'
import {
  ChangedKey,
  FrozenLog,
  LogDescription,
  LogList,
  LogPolicy,
  LogVisibility,
  Readiness,
  Scrub,
} from '../../http/schemas.ts'

const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The API of a running server, with the caller's credentials. */
export class ServedApi {
  readonly #base: string
  readonly #transport: Transport
  readonly #about: string

  /** @param about names the subject of the responses, for error messages */
  constructor(
    server: string,
    headers: Readonly<Record<string, string>>,
    { about, timeoutMs }: { about: string; timeoutMs?: number },
  ) {
    this.#base = server.replace(/\/+$/, '')
    this.#transport = new Transport({ headers, timeoutMs })
    this.#about = about
  }

  /** @throws SteleError as `Transport.ask` */
  get(path: string, expect: readonly number[] = [200]): Promise<Answer> {
    return this.#transport.ask(this.#base + path, { maxBytes: MAX_ANSWER_BYTES, fresh: true, expect })
  }

  /** @throws SteleError `unexpected_answer`; as `Transport.ask` */
  async post<S extends z.ZodType>(path: string, body: object, schema: S): Promise<z.output<S>> {
    const answer = await this.#transport.ask(this.#base + path, {
      method: 'POST',
      body: encodeUtf8(JSON.stringify(body)),
      expect: [200, 201],
      maxBytes: MAX_ANSWER_BYTES,
    })
    return this.parsed(answer, path, schema)
  }

  /** Parses a response as JSON of this schema. @throws SteleError `unexpected_answer` */
  parsed<S extends z.ZodType>({ body }: Answer, path: string, schema: S): z.output<S> {
    try {
      return schema.parse(JSON.parse(new TextDecoder().decode(body)))
    } catch (cause) {
      const message = `${this.#base}${path}: expected a response about ${this.#about}`
      throw new SteleError('unexpected_answer', message, { cause })
    }
  }
}

export const KEYS_PATH = '/v1/keys'
const Info = keyRecordSchema.omit({ hash: true }).extend({
  state: z.enum(['valid', 'expired', 'revoked']),
  alsoRevoked: z.array(z.string()).optional(),
})
const Made = z.object({ key: z.string(), info: Info })
/** All keys that the credentials may list. */
export const KeyList = z.object({ keys: z.array(Info) })

/** The keys of a running server. */
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
    // Older servers do not know `cascade`, so it is only sent when needed.
    revoke: (id, cascade) => api.post(`${of(id)}/revoke`, cascade ? { cascade } : {}, Info),
  }
}

/** Closing and opening a log with slow witnesses takes time. */
const TIMEOUT_MS = 120_000

/** A running server, and how to reach it. */
export interface ServedLogs {
  create(wanted: object): Promise<z.output<typeof LogDescription>>
  freeze(name: string, successor: string | undefined): Promise<z.output<typeof FrozenLog>>
  addKey(name: string, wanted: object): Promise<z.output<typeof ChangedKey>>
  retireKey(name: string, keyId: string, beforeOverlapEnds: boolean): Promise<z.output<typeof ChangedKey>>
  setPolicy(name: string, policy: string | null): Promise<z.output<typeof LogPolicy>>
  setAccess(name: string, wanted: object): Promise<z.output<typeof LogVisibility>>
}

/** The logs of a running server. */
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

/** One log of a running server, with the fields that the credentials may see. */
export interface LogState {
  readonly name: string
  readonly ready: boolean
  readonly state: string
  readonly reason?: string | undefined
  readonly successor?: string | undefined
  readonly treeSize?: number | undefined
  readonly headAgeMs?: number | undefined
  readonly scrub?: z.output<typeof Scrub> | undefined
  /** Number of entries that wait for an index. */
  readonly queueEntries?: number | undefined
}

/** The state of a running server at one moment. */
export interface ServerState {
  readonly ready: boolean
  readonly logs: readonly LogState[]
  readonly disk?: z.output<typeof Readiness>['disk']
  /** API keys that expire soon: their number, and the keys themselves if the caller may list keys. */
  readonly endingKeys?: { readonly count: number; readonly keys?: readonly KeyInfo[] }
}

/**
 * Asks a server for its state. Fields that the credentials may not see are left out.
 *
 * @throws SteleError `unreachable`, `unexpected_answer`, `unauthenticated`
 */
export async function servedStatus(
  server: string,
  headers: Readonly<Record<string, string>>,
): Promise<ServerState> {
  const api = new ServedApi(server, headers, { about: 'logs' })
  const list = api.parsed(await api.get('/v1/logs'), '/v1/logs', LogList)
  const readiness = api.parsed(await api.get('/readyz', [200, 503]), '/readyz', Readiness)
  const metrics = await ifAllowed(api.get('/metrics'))
  const numbers = metrics && new TextDecoder().decode(metrics.body)
  const queues = numbers === undefined ? undefined : queuesOf(numbers)
  const described = new Map(list.logs.map((log) => [log.name, log]))
  const logs: LogState[] = []
  for (const log of readiness.logs) {
    const { treeSize, successor } = described.get(log.name) ?? {}
    const path = `/v1/logs/${encodeURIComponent(log.name)}/scrub`
    const scrubbed = described.has(log.name) ? await ifAllowed(api.get(path)) : undefined
    const scrub = scrubbed && api.parsed(scrubbed, path, Scrub)
    logs.push({ ...log, treeSize, successor, scrub, queueEntries: queues?.get(log.name) })
  }
  const endingKeys = await keysEnding(api, headers, numbers)
  return {
    ready: readiness.status === 'ready',
    logs,
    ...(readiness.disk ? { disk: readiness.disk } : {}),
    ...(endingKeys ? { endingKeys } : {}),
  }
}

/** With a key that may read metrics, the number of keys; with one that may list keys, the keys. */
async function keysEnding(
  api: ServedApi,
  headers: Readonly<Record<string, string>>,
  metrics: string | undefined,
): Promise<ServerState['endingKeys']> {
  const counted = metrics === undefined ? null : /^stele_api_keys_ending (\d+)$/m.exec(metrics)
  if (counted) return { count: Number(counted[1]) }
  if (Object.keys(headers).length === 0) return undefined
  const answer = await ifAllowed(api.get(KEYS_PATH))
  if (!answer) return undefined
  const keys = api.parsed(answer, KEYS_PATH, KeyList).keys.filter((key) => endsSoon(key, Date.now()))
  return { count: keys.length, keys }
}

/** The response, or undefined if the credentials do not allow the request. */
async function ifAllowed(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked
  } catch (error) {
    if (hasCode(error, 'unauthenticated', 'forbidden', 'not_found')) return undefined
    throw error
  }
}

/** Reads the number of waiting entries of each log from metrics in Prometheus' exposition format. */
function queuesOf(metrics: string): ReadonlyMap<string, number> {
  const lines = metrics.matchAll(/^stele_queue_entries\{log="([^"]*)"\} (\S+)$/gm)
  return new Map([...lines].map(([, log, count]) => [log!, Number(count)]))
}
