import * as z from 'zod'
import { type Caller, decide } from '../../access/caller.ts'
import { SteleError } from '../../errors.ts'
import type { ChangedKey as Change } from '../../instance/administration.ts'
import type { HostedLog } from '../../instance/directory.ts'
import type { ScrubStatus } from '../../scrub/scrub-options.ts'
import { type Answer, json } from '../answer.ts'
import { type BodyReader, readJson } from '../body.ts'
import type { HttpDeps } from '../deps.ts'
import { hexOf } from '../accept.ts'
import { NO_STORE } from '../headers.ts'
import { describeLog } from '../log-description.ts'
import { hostedRoute, rootRoute, type Route } from '../route.ts'
import { ChangedKey, FrozenLog, LogDescription, LogPolicy, LogVisibility, Scrub } from '../schemas.ts'
import { withoutPaths } from '../errors.ts'

/** A witness with an ML-DSA-44 key takes 2 kB. */
const MAX_POLICY_BODY_BYTES = 256 * 1024

const Reads = z.enum(['public', 'private'])
const Heads = z.enum(['open', 'closed'])
const NewLogBody = z
  .strictObject({
    name: z.string().min(1).max(63),
    origin: z.string().min(1).max(255).optional().meta({
      description:
        'First line of its checkpoints; it never changes. Default: the public URL of the server without its scheme, /logs/, and the name.',
    }),
    allowDuplicates: z.boolean().default(false),
    reads: Reads.default('private'),
    heads: Heads.default('open'),
  })
  .meta({ id: 'NewLog' })
const FreezeBody = z
  .strictObject({ successor: z.string().max(2000).optional() })
  .meta({ id: 'Freeze', description: 'URL of the log that continues this one, if there is one.' })
const PolicyBody = z.strictObject({ policy: z.string().nullable() }).meta({ id: 'NewLogPolicy' })
const VisibilityBody = z
  .strictObject({ reads: Reads.optional(), heads: Heads.optional() })
  .meta({ id: 'NewLogVisibility' })

/** Error codes of a change to a log. */
const ACT_ERRORS = [
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

/** The routes that change logs. The audit trail records each change before it is made. */
export function logAdminRoutes({ administration, logs }: HttpDeps, bodies: BodyReader): Route[] {
  if (!administration) return []
  return [
    rootRoute({
      method: 'post',
      path: '/v1/logs',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Make a log with its own keys; it is served at once',
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
      summary: 'Freeze a log permanently, after committing all admitted entries',
      description:
        'Repeating it changes nothing. A log that was frozen without a successor can be given one.',
      body: { 'application/json': FreezeBody },
      answers: { 200: { description: 'Its final state.', content: { 'application/json': FrozenLog } } },
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
      summary: 'The witness policy of a log',
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
      summary: 'Set the witness policy of a log, or remove it with null',
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
      summary: 'Set the visibility of a log: who reads entries, and whether everyone reads its heads',
      body: { 'application/json': VisibilityBody },
      answers: {
        200: { description: 'The new visibility.', content: { 'application/json': LogVisibility } },
      },
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

/** A caller may make only logs that its credentials allow it to manage. */
function checkMayMake(caller: Caller, name: string): void {
  const hidden = { name, reads: 'private', heads: 'closed', openWrites: false } as const
  if (decide(caller, 'manage_logs', hidden) === 'allowed') return
  throw new SteleError('forbidden', 'these credentials do not cover a log of this name')
}

const MAX_OVERLAP_SECONDS = 20 * 366 * 86_400

const keyId = z.string().regex(/^[0-9a-fA-F]{8}$/)
const NewLogKeyBody = z
  .strictObject({
    rotate: z.boolean().default(false).meta({
      description:
        'True: replace an old key. The old key signs a statement that names the new one and until when both sign.',
    }),
    algorithm: z
      .enum(['ed25519', 'ml-dsa-44'])
      .optional()
      .meta({ description: 'Default: ed25519. With rotate: the algorithm of the old key.' }),
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
  }, 'expected keyId and overlapSeconds only with rotate, and algorithm only without it')
  .meta({ id: 'NewLogKey' })
const RetireBody = z
  .strictObject({
    beforeOverlapEnds: z
      .boolean()
      .default(false)
      .meta({ description: 'Retire it although it was announced to sign for longer.' }),
  })
  .meta({ id: 'RetireLogKey' })

/** The routes that change the keys of logs. The audit trail records each change before it is made. */
export function logKeyAdminRoutes({ administration, logs }: HttpDeps, bodies: BodyReader): Route[] {
  if (!administration) return []
  return [
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/keys',
      permission: 'manage_logs',
      tag: 'Management',
      summary: 'Add a key to a log, or replace one',
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
      summary: 'Retire a key: it signs no further head. The last key cannot be retired',
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
  const body = {
    verifierKey,
    since,
    ...(overlapUntilSeconds === undefined ? {} : { overlapUntilSeconds }),
    ...(retired ? { retired } : {}),
    rotations: [...statements],
  }
  return json(ChangedKey, body, NO_STORE, status)
}

/** The routes of the scrubber: its report about a log, and the start of a pass ahead of schedule. */
export function scrubRoutes({ logs }: HttpDeps): Route[] {
  return [
    hostedRoute(logs, {
      method: 'get',
      path: '/v1/logs/{log}/scrub',
      permission: 'operate',
      tag: 'Operation',
      summary: 'How much of a log was re-verified, and what is damaged',
      answers: { 200: { description: 'The scrubber.', content: { 'application/json': Scrub } } },
      errors: ['not_found'],
      handle: ({ hosted }) => shown(scrubOf(hosted), 200),
    }),
    hostedRoute(logs, {
      method: 'post',
      path: '/v1/logs/{log}/scrub',
      permission: 'operate',
      tag: 'Operation',
      summary: 'Begin a pass of the scrubber now, or right after the current one',
      answers: { 202: { description: 'It begins.', content: { 'application/json': Scrub } } },
      errors: ['not_found'],
      handle({ hosted }) {
        const scrub = scrubOf(hosted)
        hosted.scrubNow?.()
        return shown(scrub, 202)
      },
    }),
  ]
}

function scrubOf({ name, scrub }: HostedLog): ScrubStatus {
  if (scrub) return scrub
  throw new SteleError('not_found', `log ${name}: it has no scrubber, or is not open`)
}

function shown(scrub: ScrubStatus, status: number): Answer {
  const { coverage, pass, lastPass, bytesRead, readErrors, findingCount } = scrub
  const findings = scrub.findings.map(({ place, expected, found, message }) => {
    return { place, expected, found: withoutPaths(found), message: withoutPaths(message) }
  })
  const value = { coverage, pass, bytesRead, readErrors, findingCount, findings }
  return json(Scrub, { ...value, ...(lastPass ? { lastPass } : {}) }, NO_STORE, status)
}
