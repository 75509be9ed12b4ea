import { sees, type Caller } from '../../access/caller.ts'
import { SteleError } from '../../errors.ts'
import { json, type Answer } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import type { HostedLog, LogDirectory } from '../../instance/directory.ts'
import { docsPage } from '../pages/docs-page.ts'
import { CORS_HEADERS, NO_CACHE, NO_STORE, PLAIN_TEXT } from '../headers.ts'
import { htmlAnswer } from '../pages/html.ts'
import { indexPage } from '../pages/index-page.ts'
import type { OpenApiDocument } from '../openapi.ts'
import { readinessOf } from '../readiness.ts'
import { describeLog } from '../log-description.ts'
import { hostedRoute, rootRoute, type Route } from '../route.ts'
import { Document, Health, LogDescription, LogList, Readiness, Serving, Text } from '../schemas.ts'

const READ = { ...CORS_HEADERS, ...NO_CACHE }

/**
 * The routes of the instance as a whole.
 *
 * @param describe gives the API's description, which these routes are part of
 */
export function instanceRoutes(deps: HttpDeps, describe: () => OpenApiDocument): Route[] {
  const { logs, metrics, gate } = deps
  const described = (hosted: HostedLog, caller: Caller): ReturnType<typeof describeLog> => {
    const { reason, ...rest } = describeLog(hosted)
    return reason !== undefined && gate.tells(caller, hosted) ? { ...rest, reason } : rest
  }
  // Neither changes while the server runs.
  let documentText: string | undefined
  let docs: Answer | undefined
  return [
    rootRoute({
      method: 'get',
      path: '/v1/logs',
      permission: 'open',
      tag: 'Instance',
      summary: 'The logs of this server',
      answers: { 200: { description: 'All of them.', content: { 'application/json': LogList } } },
      errors: [],
      handle: ({ caller }) =>
        json(LogList, { logs: visible(logs, caller).map((one) => described(one, caller)) }, READ),
    }),
    hostedRoute(logs, {
      method: 'get',
      path: '/v1/logs/{log}',
      permission: 'open',
      tag: 'Instance',
      summary: 'One log of this server',
      answers: {
        200: { description: 'As v1/logs has it.', content: { 'application/json': LogDescription } },
      },
      errors: ['not_found'],
      handle: ({ hosted, caller }) => json(LogDescription, described(hosted, caller), READ),
    }),
    rootRoute({
      method: 'get',
      path: '/healthz',
      permission: 'open',
      tag: 'Instance',
      summary: 'Is the process up?',
      answers: { 200: { description: 'It is.', content: { 'application/json': Health } } },
      errors: [],
      handle: () => json(Health, { status: 'ok' }, NO_STORE),
    }),
    rootRoute({
      method: 'get',
      path: '/servez',
      permission: 'open',
      tag: 'Instance',
      summary: 'Is it worth sending readers here: can at least one log be read?',
      description: 'One log that is not well does not make it fail, unlike readyz.',
      answers: {
        200: { description: 'Yes.', content: { 'application/json': Serving } },
        503: { description: 'No log is open.', content: { 'application/json': Serving } },
      },
      errors: [],
      handle: () => servingOf(logs),
    }),
    rootRoute({
      method: 'get',
      path: '/readyz',
      permission: 'open',
      tag: 'Instance',
      summary:
        'Does every log that is not frozen take entries, is its head fresh and good, is nothing damaged, and has the disk room?',
      answers: {
        200: { description: 'Yes.', content: { 'application/json': Readiness } },
        503: { description: 'No, and why.', content: { 'application/json': Readiness } },
      },
      errors: [],
      handle: readinessOf(deps),
    }),
    rootRoute({
      method: 'get',
      path: '/metrics',
      permission: 'read_metrics',
      tag: 'Instance',
      summary: 'Prometheus metrics',
      answers: { 200: { description: 'Exposition format.', content: { [PLAIN_TEXT]: Text } } },
      errors: ['not_found'],
      async handle() {
        if (!metrics) throw new SteleError('not_found', 'metrics: switched off on this server')
        return {
          status: 200,
          headers: { 'content-type': metrics.contentType, ...NO_STORE },
          body: await metrics.text(),
        }
      },
    }),
    rootRoute({
      method: 'get',
      path: '/openapi.json',
      permission: 'open',
      tag: 'Instance',
      summary: 'This API as OpenAPI 3.1',
      answers: { 200: { description: 'The document.', content: { 'application/json': Document } } },
      errors: [],
      handle: () => ({
        status: 200,
        headers: { 'content-type': 'application/json', ...READ },
        body: (documentText ??= JSON.stringify(describe(), null, 2)),
      }),
    }),
    rootRoute({
      method: 'get',
      path: '/docs',
      permission: 'open',
      tag: 'Instance',
      summary: 'This API as a page to read',
      answers: { 200: { description: 'The page.', content: { 'text/html; charset=utf-8': Text } } },
      errors: [],
      handle: () => (docs ??= htmlAnswer(docsPage(describe()))),
    }),
    rootRoute({
      method: 'get',
      path: '/',
      permission: 'open',
      tag: 'Instance',
      summary: 'The logs of this server as a page to read',
      answers: { 200: { description: 'The page.', content: { 'text/html; charset=utf-8': Text } } },
      errors: [],
      handle: ({ caller }) =>
        htmlAnswer(indexPage(visible(logs, caller).map((one) => described(one, caller)))),
    }),
  ]
}

function servingOf(logs: LogDirectory): Answer {
  const serves = logs.list().some(({ reads, log }) => reads !== 'meta' && log !== undefined)
  return json(Serving, { status: serves ? 'serving' : 'not serving' }, NO_STORE, serves ? 200 : 503)
}

/** The logs that a caller may know of. */
function visible(logs: LogDirectory, caller: Caller): readonly HostedLog[] {
  return logs.list().filter((hosted) => sees(caller, hosted))
}
