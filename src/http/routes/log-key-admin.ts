import * as z from 'zod'
import type { ChangedKey as Change } from '../../instance/administration-contract.ts'
import { json, type Answer } from '../answer.ts'
import type { BodyReader } from '../body.ts'
import type { HttpDeps } from '../deps.ts'
import { NO_STORE } from '../headers.ts'
import { readJson } from '../json-body.ts'
import { ACT_ERRORS } from './log-admin.ts'
import { hostedRoute, type Route } from '../route.ts'
import { ChangedKey } from '../schemas.ts'

const MAX_OVERLAP_SECONDS = 20 * 366 * 86_400

const keyId = z.string().regex(/^[0-9a-fA-F]{8}$/)
const NewLogKeyBody = z
  .strictObject({
    rotate: z.boolean().default(false).meta({
      description:
        'True: in the place of an old key, which announces until when it signs beside the new one.',
    }),
    algorithm: z
      .enum(['ed25519', 'ml-dsa-44'])
      .optional()
      .meta({ description: 'Default: ed25519. With rotate it is that of the old key.' }),
    keyId: keyId.optional().meta({
      description: 'With rotate: ID of the old key. Default: the first Ed25519 key that signs.',
    }),
    overlapSeconds: z
      .int()
      .min(0)
      .max(MAX_OVERLAP_SECONDS)
      .optional()
      .meta({ description: 'With rotate: how long the old key is announced to sign. Default: 30 days.' }),
  })
  .refine(({ rotate, ...rest }) => {
    return rotate
      ? rest.algorithm === undefined
      : rest.keyId === undefined && rest.overlapSeconds === undefined
  }, 'expected keyId and overlapSeconds with rotate only, and algorithm without it only')
  .meta({ id: 'NewLogKey' })
const RetireBody = z
  .strictObject({
    beforeOverlapEnds: z
      .boolean()
      .default(false)
      .meta({ description: 'Although it was announced to sign for longer.' }),
  })
  .meta({ id: 'RetireLogKey' })

/** The routes that change the keys of logs. Whatever they do is in the meta log before it is done. */
export function logKeyAdminRoutes({ administration, logs }: HttpDeps, bodies: BodyReader): Route[] {
  if (!administration) return []
  return [
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/keys',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Give a log a further key, or one in the place of another',
      description:
        'The log is closed and opened again; every head from the next one on carries the new line.',
      body: { 'application/json': NewLogKeyBody },
      answers: { 201: { description: 'The new key.', content: { 'application/json': ChangedKey } } },
      errors: ACT_ERRORS,
      async handle(call) {
        const { rotate, algorithm, ...wanted } = await readJson(bodies, call, NewLogKeyBody)
        const { caller, hosted } = call
        const change = rotate
          ? administration.rotateKey(caller.id, hosted.name, wanted)
          : administration.addKey(caller.id, hosted.name, algorithm ?? 'ed25519')
        return changed(await change, 201)
      },
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/keys/{id}/retire',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Let a key sign no further head; never the last one',
      params: { id: keyId.meta({ description: 'ID of the key, 8 hex digits.' }) },
      body: { 'application/json': RetireBody },
      answers: { 200: { description: 'The key.', content: { 'application/json': ChangedKey } } },
      errors: ACT_ERRORS,
      async handle(call) {
        const { beforeOverlapEnds } = await readJson(bodies, call, RetireBody)
        const { caller, hosted, path } = call
        return changed(
          await administration.retireKey(caller.id, hosted.name, path.id, beforeOverlapEnds),
          200,
        )
      },
    }),
  ]
}

function changed({ key, statements }: Change, status: number): Answer {
  const { verifierKey, since, overlapUntilSeconds, retired } = key
  const shown = {
    verifierKey,
    since,
    ...(overlapUntilSeconds === undefined ? {} : { overlapUntilSeconds }),
    ...(retired ? { retired } : {}),
    rotations: [...statements],
  }
  return json(ChangedKey, shown, NO_STORE, status)
}
