import * as z from 'zod'
import { SteleError } from '../errors.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { Answered } from './witness.ts'
import { text } from '../http/answer.ts'
import type { BodyReader } from '../http/body.ts'
import { CORS_HEADERS, NO_CACHE, PLAIN_TEXT } from '../http/headers.ts'
import { logListRoutes } from './log-list-routes.ts'
import { rootRoute, type Route } from '../http/route.ts'
import { Bytes, Text } from '../http/schemas.ts'
import { serviceRoutes, type Service } from '../http/routes/service.ts'
import { SIZE_TYPE, witnessAnswer } from './answers.ts'
import type { WitnessHttpDeps } from './deps.ts'
import { CallerRates } from './rates.ts'

/** The path of {@link checkpointRoute}, which stands for one per log. */
export const CHECKPOINT_PATH = '/{hash}/checkpoint'

/** All routes of a witness. */
export function witnessRoutes(deps: WitnessHttpDeps, bodies: BodyReader): Route[] {
  return [
    ...signingRoutes(deps, bodies),
    checkpointRoute(deps),
    ...logListRoutes(deps, bodies),
    ...serviceRoutes(aboutOf(deps)),
  ]
}

/** The two requests to sign. */
function signingRoutes({ witness, limits }: WitnessHttpDeps, bodies: BodyReader): Route[] {
  const rates = new CallerRates(limits)
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

function aboutOf({ witness, metrics }: WitnessHttpDeps): Service {
  return { metrics, failure: () => witness.failure, describe: () => describe(witness) }
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
