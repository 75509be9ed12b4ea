import * as z from 'zod'
import { SteleError } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { Answered } from '../witness/witness.ts'
import { json, text, type Answer } from './answer.ts'
import type { BodyReader } from './body.ts'
import { CORS_HEADERS, NO_CACHE, NO_STORE, PLAIN_TEXT } from './headers.ts'
import { rootRoute, type Route } from './route.ts'
import { Bytes, Health, Text } from './schemas.ts'
import { SIZE_TYPE, witnessAnswer } from './witness-answers.ts'
import type { WitnessHttpDeps } from './witness-deps.ts'
import { CallerRates } from './witness-rates.ts'
import { withoutPaths } from './without-paths.ts'

/** The path of {@link checkpointRoute}, which stands for one per log. */
export const CHECKPOINT_PATH = '/{hash}/checkpoint'

/** All routes of a witness. */
export function witnessRoutes(deps: WitnessHttpDeps, bodies: BodyReader): Route[] {
  return [...signingRoutes(deps, bodies), checkpointRoute(deps), ...instanceRoutes(deps)]
}

/** The two requests to sign. */
function signingRoutes({ witness, limits }: WitnessHttpDeps, bodies: BodyReader): Route[] {
  const rates = new CallerRates({
    perSecond: limits.callerRequestsPerSecond,
    burst: limits.callerBurst,
    nowMs: () => performance.now(),
  })
  const route = (path: string, summary: string, sign: (body: Uint8Array) => Promise<Answered>): Route =>
    rootRoute({
      method: 'post',
      path,
      permission: 'open',
      tag: 'Witness',
      summary,
      body: { [PLAIN_TEXT]: Bytes },
      answers: SIGNED,
      errors: ['malformed', 'out_of_range', 'not_found', 'too_large', 'rate_limited'],
      async handle({ req, res, caller: { share } }) {
        // Before the body: whoever comes too often is not read.
        rates.take(share)
        return witnessAnswer(
          await sign(await bodies.read({ req, res, share, maxBytes: limits.maxBodyBytes, what: 'body' })),
        )
      },
    })
  return [
    route('/add-checkpoint', 'Cosigns a checkpoint', (body) => witness.addCheckpoint(body)),
    route('/sign-subtree', 'Cosigns a subtree of a checkpoint', (body) => witness.signSubtree(body)),
  ]
}

const SIGNED: Route['answers'] = {
  200: { description: 'Signature lines.', content: { [PLAIN_TEXT]: Text } },
  403: { description: 'No valid signature by a key that is asked for.' },
  409: { description: 'Another size was cosigned last: this one.', content: { [SIZE_TYPE]: Text } },
  422: { description: 'The proof does not hold.' },
}

/** What was cosigned last, for monitors. */
function checkpointRoute({ witness }: WitnessHttpDeps): Route {
  return rootRoute({
    method: 'get',
    path: CHECKPOINT_PATH,
    permission: 'open',
    tag: 'Witness',
    summary: 'The checkpoint that was cosigned last for a log',
    params: { hash: z.string().meta({ description: 'SHA-256 of the origin, lower-case hex.' }) },
    answers: { 200: { description: 'The checkpoint.', content: { [PLAIN_TEXT]: Text } } },
    errors: ['not_found'],
    handle({ path: { hash } }) {
      const head = witness.head(hash)
      if (head) return text(head.note, { ...CORS_HEADERS, ...NO_CACHE })
      throw new SteleError('not_found', 'this witness never cosigned a checkpoint of such a log')
    },
  })
}

const Ready = z.object({ status: z.enum(['ready', 'not ready']), reason: z.string().optional() })

/** The instance as a whole. */
function instanceRoutes({ witness, metrics }: WitnessHttpDeps): Route[] {
  const about = { tag: 'Instance', method: 'get', errors: [] } as const
  return [
    rootRoute({
      ...about,
      path: '/healthz',
      permission: 'open',
      summary: 'Is the process up?',
      answers: { 200: { description: 'It is.', content: { 'application/json': Health } } },
      handle: () => json(Health, { status: 'ok' }, NO_STORE),
    }),
    rootRoute({
      ...about,
      path: '/readyz',
      permission: 'open',
      summary: 'Does it sign?',
      answers: {
        200: { description: 'Yes.', content: { 'application/json': Ready } },
        503: { description: 'No, and why.', content: { 'application/json': Ready } },
      },
      handle: () => readiness(witness.failure),
    }),
    rootRoute({
      ...about,
      path: '/metrics',
      permission: 'open',
      summary: 'Prometheus metrics',
      answers: { 200: { description: 'Exposition format.', content: { [PLAIN_TEXT]: Text } } },
      async handle() {
        if (!metrics) throw new SteleError('not_found', 'metrics: switched off on this server')
        const headers = { 'content-type': metrics.contentType, ...NO_STORE }
        return { status: 200, headers, body: await metrics.text() }
      },
    }),
    rootRoute({
      ...about,
      path: '/',
      permission: 'open',
      summary: 'Who this is',
      answers: { 200: { description: 'For people.', content: { [PLAIN_TEXT]: Text } } },
      handle: () => text(describe(witness)),
    }),
  ]
}

function readiness(failure: SteleError | undefined): Answer {
  if (!failure) return json(Ready, { status: 'ready' }, NO_STORE)
  return json(Ready, { status: 'not ready', reason: withoutPaths(failure.message) }, NO_STORE, 503)
}

function describe({ keys, logs }: WitnessHttpDeps['witness']): string {
  return [
    'A witness for transparency logs (c2sp.org/tlog-witness).',
    '',
    'Get its keys from its operator, and compare:',
    ...keys.map(({ verifier }) => formatVerifierKey(verifier)),
    '',
    `It cosigns for ${logs.length} logs:`,
    ...logs.map(({ origin }) => origin),
    '',
  ].join('\n')
}
