import { SteleError } from '../errors.ts'
import { json, type Answer } from './answer.ts'
import type { HttpDeps } from './deps.ts'
import type { HostedLog } from './directory.ts'
import { docsPage } from './docs-page.ts'
import { base64Of, hexOf } from './encoding.ts'
import { CORS_HEADERS, NO_CACHE, NO_STORE, PLAIN_TEXT } from './headers.ts'
import { htmlAnswer } from './html.ts'
import { indexPage } from './index-page.ts'
import type { OpenApiDocument } from './openapi.ts'
import { rootRoute, type Route } from './route.ts'
import { Document, Health, LogList, Readiness, Text } from './schemas.ts'
import type * as z from 'zod'

const READ = { ...CORS_HEADERS, ...NO_CACHE }

/**
 * The routes of the instance as a whole.
 *
 * @param describe gives the API's description, which these routes are part of
 */
export function instanceRoutes(deps: HttpDeps, describe: () => OpenApiDocument): Route[] {
  const { logs, metrics } = deps
  // Neither changes while the server runs.
  let documentText: string | undefined
  let docs: Answer | undefined
  return [
    rootRoute({
      method: 'get',
      path: '/v1/logs',
      tag: 'Instance',
      summary: 'The logs of this server',
      answers: { 200: { description: 'All of them.', content: { 'application/json': LogList } } },
      errors: [],
      handle: () => json(LogList, { logs: logs.list().map(describeLog) }, READ),
    }),
    rootRoute({
      method: 'get',
      path: '/healthz',
      tag: 'Instance',
      summary: 'Is the process up?',
      answers: { 200: { description: 'It is.', content: { 'application/json': Health } } },
      errors: [],
      handle: () => json(Health, { status: 'ok' }, NO_STORE),
    }),
    rootRoute({
      method: 'get',
      path: '/readyz',
      tag: 'Instance',
      summary: 'Does every log that is not frozen take entries, and is its head fresh?',
      answers: {
        200: { description: 'Yes.', content: { 'application/json': Readiness } },
        503: { description: 'No, and why.', content: { 'application/json': Readiness } },
      },
      errors: [],
      handle: () => readiness(deps),
    }),
    rootRoute({
      method: 'get',
      path: '/metrics',
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
      tag: 'Instance',
      summary: 'This API as a page to read',
      answers: { 200: { description: 'The page.', content: { 'text/html; charset=utf-8': Text } } },
      errors: [],
      handle: () => (docs ??= htmlAnswer(docsPage(describe()))),
    }),
    rootRoute({
      method: 'get',
      path: '/',
      tag: 'Instance',
      summary: 'The logs of this server as a page to read',
      answers: { 200: { description: 'The page.', content: { 'text/html; charset=utf-8': Text } } },
      errors: [],
      handle: () => htmlAnswer(indexPage(logs.list().map(describeLog))),
    }),
  ]
}

function describeLog(hosted: HostedLog): z.output<typeof LogList>['logs'][number] {
  const { name, origin, verifierKey, keys, allowDuplicates, log, failure } = hosted
  const status = log?.status
  const reason = failure?.message ?? status?.reason
  const published = log?.published
  const successor = log?.integrated.final?.successor
  return {
    name,
    origin,
    path: `/logs/${name}/`,
    verifierKey,
    verifierKeys: keys.flatMap((key) => (key.retired ? [] : [key.verifierKey])),
    treeHeadKey: base64Of(hosted.treeHeadKey),
    ...(published
      ? { treeSize: published.size, rootHash: hexOf(published.root), timestampMs: published.timestampMs }
      : {}),
    state: status?.state ?? 'failed',
    ...(reason === undefined ? {} : { reason }),
    ...(successor === undefined ? {} : { successor }),
    allowDuplicates,
  }
}

function readiness({ logs, limits, nowMs }: HttpDeps): Answer {
  const states = logs.list().map(({ name, log, failure }) => {
    const state = log?.status.state ?? 'failed'
    const headAgeMs = log && Math.max(0, nowMs() - log.published.timestampMs)
    // Of a frozen log nothing new is expected, so that no age of it is a fault.
    const frozen = state === 'frozen'
    const old = !frozen && headAgeMs !== undefined && headAgeMs > limits.maxHeadAgeMs
    const reason =
      failure?.message ?? log?.status.reason ?? (old ? 'the published head is too old' : undefined)
    return {
      name,
      ready: frozen || (state === 'serving' && !old),
      state,
      ...(reason === undefined ? {} : { reason }),
      ...(headAgeMs === undefined ? {} : { headAgeMs }),
    }
  })
  const ready = states.every((state) => state.ready)
  return json(Readiness, { status: ready ? 'ready' : 'not ready', logs: states }, NO_STORE, ready ? 200 : 503)
}
