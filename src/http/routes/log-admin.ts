import * as z from 'zod'
import { decide, type Caller } from '../../access/caller.ts'
import { SteleError } from '../../errors.ts'
import { json } from '../answer.ts'
import type { BodyReader } from '../body.ts'
import type { HttpDeps } from '../deps.ts'
import { hexOf } from '../encoding.ts'
import { NO_STORE } from '../headers.ts'
import { readJson } from '../json-body.ts'
import { describeLog } from '../log-description.ts'
import { hostedRoute, rootRoute, type Route } from '../route.ts'
import { FrozenLog, LogDescription, LogPolicy, LogVisibility } from '../schemas.ts'

/** A witness with an ML-DSA-44 key takes 2 kB. */
const MAX_POLICY_BODY_BYTES = 256 * 1024

const Reads = z.enum(['public', 'private'])
const Heads = z.enum(['open', 'closed'])
const NewLogBody = z
  .strictObject({
    name: z.string().min(1).max(63),
    origin: z.string().min(1).max(255).optional().meta({
      description:
        'First line of its checkpoints, for ever. Default: the public URL of the server without its scheme, /logs/, and the name.',
    }),
    allowDuplicates: z.boolean().default(false),
    reads: Reads.default('private'),
    heads: Heads.default('open'),
  })
  .meta({ id: 'NewLog' })
const FreezeBody = z
  .strictObject({ successor: z.string().max(2000).optional() })
  .meta({ id: 'Freeze', description: 'URL of the log that goes on instead, if there is one.' })
const PolicyBody = z.strictObject({ policy: z.string().nullable() }).meta({ id: 'NewLogPolicy' })
const VisibilityBody = z
  .strictObject({ reads: Reads.optional(), heads: Heads.optional() })
  .meta({ id: 'NewLogVisibility' })

/** Why an act on a log may be refused. */
export const ACT_ERRORS = [
  'malformed',
  'not_found',
  'usage',
  'log_halted',
  'shutting_down',
  'untraceable',
  'rate_limited',
  'too_large',
  'too_slow',
] as const

/** The routes that change logs. Whatever they do is in the meta log before it is done. */
export function logAdminRoutes({ administration, logs }: HttpDeps, bodies: BodyReader): Route[] {
  if (!administration) return []
  return [
    rootRoute({
      method: 'post',
      path: '/v1/logs',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Make a log, with keys of its own; it is served at once',
      body: { 'application/json': NewLogBody },
      answers: { 201: { description: 'The log.', content: { 'application/json': LogDescription } } },
      errors: [...ACT_ERRORS, 'already_exists'],
      async handle(call) {
        const wanted = await readJson(bodies, call, NewLogBody)
        checkMayMake(call.caller, wanted.name)
        await administration.createLog(call.caller.id, wanted)
        return json(LogDescription, describeLog(logs.get(wanted.name)!), NO_STORE, 201)
      },
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/freeze',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'End a log for ever, after what it has admitted',
      description: 'Repeating it changes nothing. A log that ended without a successor can be given one.',
      body: { 'application/json': FreezeBody },
      answers: { 200: { description: 'How it ended.', content: { 'application/json': FrozenLog } } },
      errors: [...ACT_ERRORS, 'already_exists', 'outcome_unknown'],
      async handle(call) {
        const words = await readJson(bodies, call, FreezeBody)
        const { head, published } = await administration.freeze(call.caller.id, call.hosted.name, words)
        const { size, root, final } = head
        const successor = final?.successor === undefined ? {} : { successor: final.successor }
        const ended = { treeSize: size, rootHash: hexOf(root), ...successor, published }
        return json(FrozenLog, ended, NO_STORE)
      },
    }),
    hostedRoute(logs, {
      method: 'get',
      path: '/v1/logs/{log}/policy',
      permission: 'see_access',
      tag: 'Management',
      summary: 'Whose cosignatures a log waits for',
      answers: { 200: { description: 'The policy.', content: { 'application/json': LogPolicy } } },
      errors: ['not_found'],
      async handle({ hosted }) {
        return json(LogPolicy, { policy: (await administration.policy(hosted.name)) ?? null }, NO_STORE)
      },
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/policy',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Set whose cosignatures a log waits for, or with null nobody’s',
      description:
        'The log is closed and opened again; it takes entries once its witnesses have confirmed its head.',
      body: { 'application/json': PolicyBody },
      answers: { 200: { description: 'The policy.', content: { 'application/json': LogPolicy } } },
      errors: ACT_ERRORS,
      async handle(call) {
        const { policy } = await readJson(bodies, call, PolicyBody, MAX_POLICY_BODY_BYTES)
        await administration.setPolicy(call.caller.id, call.hosted.name, policy ?? undefined)
        return json(LogPolicy, { policy }, NO_STORE)
      },
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/access',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Change who reads a log, and whether its heads are for everyone',
      body: { 'application/json': VisibilityBody },
      answers: { 200: { description: 'What holds now.', content: { 'application/json': LogVisibility } } },
      errors: ACT_ERRORS,
      async handle(call) {
        const { reads, heads } = await readJson(bodies, call, VisibilityBody)
        const wanted = { ...(reads ? { reads } : {}), ...(heads ? { heads } : {}) }
        const after = await administration.setAccess(call.caller.id, call.hosted.name, wanted)
        return json(LogVisibility, after, NO_STORE)
      },
    }),
  ]
}

/** Nobody makes a log that they could not manage. */
function checkMayMake(caller: Caller, name: string): void {
  const hidden = { name, reads: 'private', heads: 'closed', openWrites: false } as const
  if (decide(caller, 'manage_logs', hidden) === 'allowed') return
  throw new SteleError('forbidden', 'these credentials are for other logs than the one that was to be made')
}
