import * as z from 'zod'
import type { Caller } from '../../access/caller.ts'
import { keyRecordSchema, type KeyInfo } from '../../access/key-record.ts'
import { LEAST_REQUESTS_PER_SECOND, type MadeKey, type Maker } from '../../access/keyring.ts'
import { json } from '../answer.ts'
import { type BodyReader, readJson } from '../body.ts'
import type { HttpDeps } from '../deps.ts'
import { NO_STORE } from '../headers.ts'
import { rootRoute, type Route } from '../route.ts'

const MAX_OVERLAP_SECONDS = 30 * 86_400
const DEFAULT_OVERLAP_SECONDS = 86_400

const Key = keyRecordSchema
  .omit({ hash: true })
  .extend({
    state: z.enum(['valid', 'expired', 'revoked']),
    alsoRevoked: z.array(z.string()).optional().meta({
      description: 'Of a key that was revoked with cascade: ids of the keys that were revoked with it.',
    }),
  })
  .meta({ id: 'ApiKey', description: 'An API key without its secret, which is not stored.' })
const KeyList = z.object({ keys: z.array(Key) }).meta({ id: 'ApiKeyList' })
const Made = z
  .object({
    key: z.string().meta({ description: 'The key itself. It is shown only once.' }),
    info: Key,
  })
  .meta({ id: 'MadeApiKey' })

const NewKeyBody = z
  .strictObject({
    role: z.enum(['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator']),
    logs: z.union([z.literal('*'), z.array(z.string().min(1).max(63)).min(1).max(1000)]),
    label: z.string().max(200).default(''),
    expiresAt: z.iso.datetime().optional().meta({
      description: 'Default: in 90 days, or earlier where max-key-days or the key of the caller requires it.',
    }),
    addresses: z.array(z.string().max(64)).min(1).max(100).optional(),
    requestsPerSecond: z.number().min(LEAST_REQUESTS_PER_SECOND).max(1_000_000).optional(),
  })
  .meta({ id: 'NewApiKey' })
const RotateBody = z.strictObject({
  overlapSeconds: z.int().min(0).max(MAX_OVERLAP_SECONDS).default(DEFAULT_OVERLAP_SECONDS),
})

const RevokeBody = z.strictObject({
  cascade: z.boolean().default(false).meta({
    description: 'Also revoke the keys that it made, the keys that those made, and so on.',
  }),
})

const id = z.string().meta({ description: 'Id of the key, the part of it that is not secret.' })
const ERRORS = ['malformed', 'not_found', 'usage', 'untraceable', 'too_large', 'too_slow'] as const

/** The routes that make and revoke API keys. The audit trail records each change before it is made. */
export function apiKeyRoutes({ keyring }: HttpDeps, bodies: BodyReader): Route[] {
  if (!keyring) return []
  return [
    rootRoute({
      method: 'get',
      path: '/v1/keys',
      permission: 'see_access',
      tag: 'Access',
      summary: 'The API keys of this server, without their secrets',
      answers: {
        200: { description: 'All keys that the caller may see.', content: { 'application/json': KeyList } },
      },
      errors: [],
      handle({ caller }) {
        const keys = keyring.list(makerOf(caller))
        return { ...json(KeyList, { keys: keys.map(shown) }, NO_STORE), count: keys.length }
      },
    }),
    rootRoute({
      method: 'post',
      path: '/v1/keys',
      permission: 'manage_keys',
      tag: 'Access',
      summary: 'Make an API key',
      description:
        'A caller can make keys only of the roles that its own role may grant, for logs that its own grant covers, and with ' +
        'limits (addresses, rate, expiry) no weaker than its own. The answer holds the key, which is shown only once.',
      body: { 'application/json': NewKeyBody },
      answers: { 201: { description: 'The key.', content: { 'application/json': Made } } },
      errors: ERRORS,
      async handle(call) {
        const wanted = await readJson(bodies, call, NewKeyBody)
        return made(await keyring.create(makerOf(call.caller), wanted))
      },
    }),
    rootRoute({
      method: 'post',
      path: '/v1/keys/{id}/rotate',
      permission: 'manage_keys',
      tag: 'Access',
      summary: 'Replace a key; for a while the old and the new one are both valid',
      params: { id },
      body: { 'application/json': RotateBody },
      answers: { 201: { description: 'The new key.', content: { 'application/json': Made } } },
      errors: ERRORS,
      async handle(call) {
        const { overlapSeconds } = await readJson(bodies, call, RotateBody)
        return made(await keyring.rotate(makerOf(call.caller), call.path.id, overlapSeconds * 1000))
      },
    }),
    rootRoute({
      method: 'post',
      path: '/v1/keys/{id}/revoke',
      permission: 'manage_keys',
      tag: 'Access',
      summary: 'Revoke a key: the next request with it is refused',
      params: { id },
      body: { 'application/json': RevokeBody },
      answers: { 200: { description: 'The key as it is now.', content: { 'application/json': Key } } },
      errors: ERRORS,
      async handle(call) {
        const { cascade } = await readJson(bodies, call, RevokeBody)
        return json(Key, shown(await keyring.revoke(makerOf(call.caller), call.path.id, cascade)), NO_STORE)
      },
    }),
  ]
}

function makerOf({ id: maker, grants }: Caller): Maker {
  return { id: maker, grants }
}

function made({ key, info }: MadeKey): ReturnType<typeof json> {
  return json(Made, { key, info: shown(info) }, NO_STORE, 201)
}

function shown(info: KeyInfo): z.output<typeof Key> {
  const { alsoRevoked, ...rest } = info
  return alsoRevoked === undefined ? rest : { ...rest, alsoRevoked: [...alsoRevoked] }
}
