import type * as z from 'zod'
import type { Answer } from '../../client/transport.ts'
import { hasCode } from '../../errors.ts'
import { LogList, Readiness, Scrub } from '../../http/schemas.ts'
import { endsSoon, type KeyInfo } from '../../access/key-record.ts'
import { ServedApi } from './served-api.ts'
import { KeyList, KEYS_PATH } from './served-keys.ts'

/** One log of a running server, as far as the credentials reach. */
export interface LogState {
  readonly name: string
  readonly ready: boolean
  readonly state: string
  readonly reason?: string | undefined
  readonly successor?: string | undefined
  readonly treeSize?: number | undefined
  readonly headAgeMs?: number | undefined
  readonly scrub?: z.output<typeof Scrub> | undefined
  /** Entries that wait for an index. */
  readonly queueEntries?: number | undefined
}

/** A running server at one moment. */
export interface ServerState {
  readonly ready: boolean
  readonly logs: readonly LogState[]
  readonly disk?: z.output<typeof Readiness>['disk']
  /** API keys that are about to end: how many, and for those who may see keys, which. */
  readonly endingKeys?: { readonly count: number; readonly keys?: readonly KeyInfo[] }
}

/**
 * Asks a server how it is. What these credentials may not see is left out.
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

/** Those who may read metrics learn how many; those who may see keys are shown them. */
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

/** The answer, or nothing where these credentials do not reach. */
async function ifAllowed(asked: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await asked
  } catch (error) {
    if (hasCode(error, 'unauthenticated', 'forbidden', 'not_found')) return undefined
    throw error
  }
}

/** Of the metrics in Prometheus' exposition format, how many entries of which log wait. */
function queuesOf(metrics: string): ReadonlyMap<string, number> {
  const lines = metrics.matchAll(/^stele_queue_entries\{log="([^"]*)"\} (\S+)$/gm)
  return new Map([...lines].map(([, log, count]) => [log!, Number(count)]))
}
