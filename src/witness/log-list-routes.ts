import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import * as z from 'zod'
import { logPrefix } from '../client/http-files.ts'
import { hasCode, SteleError } from '../errors.ts'
import { formatVerifierKey, parseVerifierKey } from '../note/key.ts'
import type { VerifierKey } from '../note/note.ts'
import { json } from '../http/answer.ts'
import { type BodyReader, readJson } from '../http/body.ts'
import { NO_STORE } from '../http/headers.ts'
import { rootRoute, type Call, type Route } from '../http/route.ts'
import type { CosignerHttpDeps } from './routes.ts'
import { CallerRates } from './rates.ts'

/** A log of a witness or a mirror, as these routes take and show it. */
interface Log {
  readonly origin: string
  readonly keys: readonly VerifierKey[]
  /** Of a mirror: where it is followed. */
  readonly url?: string | undefined
}

/** What lists and changes the logs of a cosigner that runs. */
export interface LogAdmin {
  /** What a request has to show. */
  readonly token: string
  readonly logs: {
    readonly listed: readonly (Log & { readonly list: 'logs.json' | 'log-list' })[]
    add(log: Log): Promise<Log>
    drop(origin: string): Promise<void>
  }
}

const Shown = z
  .object({ origin: z.string(), verifierKeys: z.array(z.string()), url: z.string().optional() })
  .meta({ id: 'CosignedLog' })
const List = z.object({ logs: z.array(Shown.extend({ list: z.enum(['logs.json', 'log-list']) })) })
const Added = z
  .strictObject({
    verifierKeys: z.array(z.string().max(4096)).min(1).max(16),
    origin: z.string().min(1).max(1024).optional(),
    url: z.string().max(2048).optional(),
  })
  .meta({ id: 'NewCosignedLog' })
const Dropped = z.strictObject({ origin: z.string().min(1).max(1024) })

/** Lists, adds and drops logs, for those who show the token. None where there is none. */
export function logListRoutes({ admin, limits }: CosignerHttpDeps, bodies: BodyReader): Route[] {
  if (!admin) return []
  const rates = new CallerRates(limits)
  const check = tokenCheck(admin.token)
  const letIn = ({ req, caller: { share } }: Call<unknown, unknown>): void => {
    rates.take(share)
    check(req)
  }
  const about = { permission: 'manage_logs', tag: 'Logs' } as const
  const errors = ['malformed', 'unauthenticated', 'usage', 'too_large', 'rate_limited'] as const
  return [
    rootRoute({
      ...about,
      method: 'get',
      path: '/v1/logs',
      summary: 'The logs that are cosigned for',
      answers: { 200: { description: 'All of them.', content: { 'application/json': List } } },
      errors,
      handle(call) {
        letIn(call)
        const logs = admin.logs.listed.map((log) => ({ ...shown(log), list: log.list }))
        return json(List, { logs }, NO_STORE)
      },
    }),
    rootRoute({
      ...about,
      method: 'post',
      path: '/v1/logs',
      summary: 'Add a log, or a key of a log',
      body: { 'application/json': Added },
      answers: { 201: { description: 'The log as it is listed.', content: { 'application/json': Shown } } },
      errors: [...errors, 'already_exists'],
      async handle(call) {
        letIn(call)
        const log = toldLog(await readJson(bodies, call, Added, 128 * 1024))
        return json(Shown, shown(await admin.logs.add(log)), NO_STORE, 201)
      },
    }),
    rootRoute({
      ...about,
      method: 'post',
      path: '/v1/logs/drop',
      summary: 'Drop a log; what is known of it is kept',
      body: { 'application/json': Dropped },
      answers: { 204: { description: 'It is not cosigned for any more.' } },
      errors: [...errors, 'not_found'],
      async handle(call) {
        letIn(call)
        const { origin } = await readJson(bodies, call, Dropped)
        await admin.logs.drop(origin)
        return { status: 204, headers: NO_STORE }
      },
    }),
  ]
}

/** Compares digests, which are of one length, in constant time. */
function tokenCheck(token: string): (req: IncomingMessage) => void {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const expected = digest(token)
  return ({ headers: { authorization = '' } }) => {
    const [, came = ''] = /^bearer +(\S+) *$/i.exec(authorization) ?? []
    if (timingSafeEqual(digest(came), expected)) return
    throw new SteleError(
      'unauthenticated',
      'expected the token of admin-token-file, in the header Authorization behind the word Bearer',
    )
  }
}

/** @throws SteleError `usage` */
function toldLog({ verifierKeys, origin, url }: z.output<typeof Added>): Log {
  try {
    const keys = verifierKeys.map((vkey) => parseVerifierKey(vkey))
    const names = new Set(keys.map(({ name }) => name))
    if (origin === undefined && names.size > 1) {
      throw new SteleError('usage', 'expected keys of one name, or an origin: which log are they of?')
    }
    const prefix = url === undefined ? undefined : logPrefix(url)
    return { origin: origin ?? keys[0]!.name, keys, url: prefix }
  } catch (cause) {
    if (!hasCode(cause, 'malformed')) throw cause
    throw new SteleError('usage', cause.message, { cause })
  }
}

function shown({ origin, keys, url }: Log): z.output<typeof Shown> {
  return { origin, verifierKeys: keys.map(formatVerifierKey), ...(url === undefined ? {} : { url }) }
}
