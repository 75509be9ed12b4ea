import * as z from 'zod'
import { SteleError } from '../../errors.ts'
import { json, text, type Answer } from '../answer.ts'
import { NO_STORE, PLAIN_TEXT } from '../headers.ts'
import type { Metrics } from '../metrics/metrics.ts'
import { rootRoute, type Route } from '../route.ts'
import { Health, Text } from '../schemas.ts'
import { withoutPaths } from '../errors.ts'

const Ready = z.object({ status: z.enum(['ready', 'not ready']), reason: z.string().optional() })

/** The parts of a server with a single task. */
export interface Service {
  readonly metrics: Metrics | undefined
  /** Why the server does not work, or undefined while it does. */
  readonly failure: () => SteleError | undefined
  /** A short description of the server, for people. */
  readonly describe: () => string
}

/** The routes about a server as a whole. */
export function serviceRoutes({ metrics, failure, describe }: Service): Route[] {
  const about = { tag: 'Instance', method: 'get', permission: 'open', errors: [] } as const
  return [
    rootRoute({
      ...about,
      path: '/healthz',
      summary: 'Is the process up?',
      answers: { 200: { description: 'It is.', content: { 'application/json': Health } } },
      handle: () => json(Health, { status: 'ok' }, NO_STORE),
    }),
    rootRoute({
      ...about,
      path: '/readyz',
      summary: 'Does the server work?',
      answers: {
        200: { description: 'Yes.', content: { 'application/json': Ready } },
        503: { description: 'No, and why.', content: { 'application/json': Ready } },
      },
      handle: () => readiness(failure()),
    }),
    rootRoute({
      ...about,
      path: '/metrics',
      summary: 'Prometheus metrics',
      answers: { 200: { description: 'Exposition format.', content: { [PLAIN_TEXT]: Text } } },
      async handle() {
        if (!metrics) throw new SteleError('not_found', 'metrics: disabled on this server')
        const headers = { 'content-type': metrics.contentType, ...NO_STORE }
        return { status: 200, headers, body: await metrics.text() }
      },
    }),
    rootRoute({
      ...about,
      path: '/',
      summary: 'What this server is',
      answers: { 200: { description: 'For people.', content: { [PLAIN_TEXT]: Text } } },
      handle: () => text(describe()),
    }),
  ]
}

function readiness(failure: SteleError | undefined): Answer {
  if (!failure) return json(Ready, { status: 'ready' }, NO_STORE)
  return json(Ready, { status: 'not ready', reason: withoutPaths(failure.message) }, NO_STORE, 503)
}
