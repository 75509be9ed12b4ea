import type * as z from 'zod'
import { type Caller, sees } from '../../access/caller.ts'
import { hasCode, SteleError } from '../../errors.ts'
import type { HostedLog, LogDirectory } from '../../instance/directory.ts'
import type { SignedHead } from '../../log/head.ts'
import { openCheckpoint } from '../../note/checkpoint.ts'
import { parseVerifierKey } from '../../note/key.ts'
import { type Answer, json } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import { CORS_HEADERS, NO_CACHE, NO_STORE, PLAIN_TEXT } from '../headers.ts'
import { describeLog } from '../log-description.ts'
import type { OpenApiDocument } from '../openapi.ts'
import { docsPage } from '../pages/docs-page.ts'
import { htmlAnswer } from '../pages/html.ts'
import { indexPage } from '../pages/index-page.ts'
import { hostedRoute, rootRoute, type Route } from '../route.ts'
import { Document, Health, LogDescription, LogList, Readiness, Serving, Text } from '../schemas.ts'
import { withoutPaths } from '../errors.ts'

const READ = { ...CORS_HEADERS, ...NO_CACHE }

/**
 * The routes of the instance as a whole.
 *
 * @param describe makes the API's description, which includes these routes
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
        200: { description: 'As in v1/logs.', content: { 'application/json': LogDescription } },
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
      summary: 'Can at least one log be read?',
      description: 'Unlike readyz, it does not fail because of a single log.',
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
        'Does every log that is not frozen take entries? Are all heads fresh and valid, is no log damaged, and has the disk enough free space?',
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
        if (!metrics) throw new SteleError('not_found', 'metrics: disabled on this server')
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
      summary: 'This API as an HTML page',
      answers: { 200: { description: 'The page.', content: { 'text/html; charset=utf-8': Text } } },
      errors: [],
      handle: () => (docs ??= htmlAnswer(docsPage(describe()))),
    }),
    rootRoute({
      method: 'get',
      path: '/',
      permission: 'open',
      tag: 'Instance',
      summary: 'The logs of this server as an HTML page',
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

/** The logs that a caller may see. */
function visible(logs: LogDirectory, caller: Caller): readonly HostedLog[] {
  return logs.list().filter((hosted) => sees(caller, hosted))
}

type Ready = z.output<typeof Readiness>

/** Checks that every log is open, that its head is fresh and verifies, and that the disk has enough free space. */
function readinessOf(deps: HttpDeps): (call: { readonly caller: Caller }) => Promise<Answer> {
  const verified = new WeakSet<SignedHead>()
  return async ({ caller }) => {
    const { gate } = deps
    const disk = await diskState(deps, gate.tells(caller))
    const hosted = deps.logs.list()
    const states = hosted.map((one) => {
      const state = logState(one, deps, verified)
      const reason = gate.tells(caller, one) ? withoutPaths(state.reason ?? '') : UNTOLD
      return state.reason === undefined ? state : { ...state, reason }
    })
    const shown = states.filter((_, i) => sees(caller, hosted[i]!))
    // Every log counts, for any caller. Of logs that are hidden from the caller, it learns only that one is not ready.
    const logsReady = states.every((log) => log.ready)
    const unseen = !logsReady && shown.every((log) => log.ready)
    const logs = unseen ? [...shown, { name: 'a private log', ready: false, state: 'failed' }] : shown
    const ready = logsReady && (disk?.ready ?? true)
    const body = { status: ready ? 'ready' : 'not ready', logs, ...(disk ? { disk } : {}) } as const
    return json(Readiness, body, NO_STORE, ready ? 200 : 503)
  }
}

/** The reason shown to callers without a key for the log. */
const UNTOLD =
  'the reason is in the log of the server, and in this answer for callers with a key for this log'

function logState(
  hosted: HostedLog,
  { limits, nowMs }: HttpDeps,
  verified: WeakSet<SignedHead>,
): Ready['logs'][number] {
  const { name, log, failure, scrub } = hosted
  const state = log?.status.state ?? 'failed'
  const headAgeMs = log && nowMs() - log.published.timestampMs
  // A frozen log signs no new head, so its head cannot be too old.
  const old = state !== 'frozen' && headAgeMs !== undefined && headAgeMs > limits.maxHeadAgeMs
  const reason =
    failure?.message ??
    log?.status.reason ??
    pendingReason(log?.status.writePendingMs) ??
    damageReason(scrub) ??
    (old ? `the published head is too old${whyUnpublished(hosted)}` : undefined) ??
    (log && headFault(hosted, log.published, verified))
  return {
    name,
    ready: (state === 'serving' || state === 'frozen') && reason === undefined,
    state,
    ...(reason === undefined ? {} : { reason }),
    ...(headAgeMs === undefined ? {} : { headAgeMs }),
  }
}

/** Far longer than a commit takes (0.1 s at full load), and shorter than a supervisor waits before it acts. */
const MAX_WRITE_MS = 10_000

function pendingReason(pendingMs = 0): string | undefined {
  if (pendingMs < MAX_WRITE_MS) return undefined
  return `a write has waited for ${Math.floor(pendingMs / 1000)} s: the disk of this log does not answer`
}

/** Why a damaged log is not ready. It serves what is undamaged; an operator has to repair the rest. */
function damageReason(scrub: HostedLog['scrub']): string | undefined {
  const first = scrub?.findings[0]
  if (!scrub || !first) return undefined
  const more = scrub.findingCount - 1
  return `damaged: ${first.message}${more > 0 ? `, and ${more} more` : ''}`
}

function whyUnpublished({ log }: HostedLog): string {
  const reason = log?.status.unpublished
  return reason === undefined ? '' : `: ${reason}`
}

/** Why readers would reject the published head. Checked as readers do, with the log's public key alone. */
function headFault(hosted: HostedLog, head: SignedHead, verified: WeakSet<SignedHead>): string | undefined {
  if (verified.has(head)) return undefined
  try {
    const { origin, verifierKey } = hosted
    const opened = openCheckpoint(head.checkpoint, { origin, verifiers: [parseVerifierKey(verifierKey)] })
    if (opened.checkpoint.size !== head.size)
      return 'the published checkpoint is of another size than the tree'
    verified.add(head)
    return undefined
  } catch (error) {
    return `the published head does not verify${hasCode(error, 'internal') ? '' : `: ${(error as Error).message}`}`
  }
}

async function diskState({ disk }: HttpDeps, isTold: boolean): Promise<Ready['disk']> {
  if (!disk) return undefined
  const freeBytes = await disk.freeBytes()
  if (!isTold) return { ready: freeBytes !== undefined && freeBytes >= disk.minFreeBytes }
  const { minFreeBytes } = disk
  if (freeBytes === undefined)
    return { ready: false, minFreeBytes, reason: 'the free space of the disk is unknown' }
  if (freeBytes >= minFreeBytes) return { ready: true, minFreeBytes, freeBytes }
  return { ready: false, minFreeBytes, freeBytes, reason: 'the disk has less free space than min-free-bytes' }
}
