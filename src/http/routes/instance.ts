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

type Ready = z.output<typeof Readiness>

/** Answers whether every log is open, with a head that is fresh and verifies, and whether the disk has room. */
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
    // What is not ready counts, whoever asks; of logs that a caller may not know of, they learn that and no more.
    const logsReady = states.every((log) => log.ready)
    const unseen = !logsReady && shown.every((log) => log.ready)
    const logs = unseen ? [...shown, { name: 'a private log', ready: false, state: 'failed' }] : shown
    const ready = logsReady && (disk?.ready ?? true)
    const body = { status: ready ? 'ready' : 'not ready', logs, ...(disk ? { disk } : {}) } as const
    return json(Readiness, body, NO_STORE, ready ? 200 : 503)
  }
}

/** To callers without a key for a log. */
const UNTOLD = 'the log of the server says why, and this answer to a key for this log'

function logState(
  hosted: HostedLog,
  { limits, nowMs }: HttpDeps,
  verified: WeakSet<SignedHead>,
): Ready['logs'][number] {
  const { name, log, failure, scrub } = hosted
  const state = log?.status.state ?? 'failed'
  const headAgeMs = log && nowMs() - log.published.timestampMs
  // Of a frozen log nothing new is expected, so that no age of it is a fault.
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

/** Far more than a commit takes (0.1 s at full load), and less than a supervisor waits before it acts. */
const MAX_WRITE_MS = 10_000

function pendingReason(pendingMs = 0): string | undefined {
  if (pendingMs < MAX_WRITE_MS) return undefined
  return `a write has waited for ${Math.floor(pendingMs / 1000)} s: the disk of this log does not answer`
}

/** A damaged log serves what is good; somebody has to repair the rest. */
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

/** What readers would find wrong with the published head, checked as they do, with the log's public key alone. */
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
    return { ready: false, minFreeBytes, reason: 'the disk does not say what is free' }
  if (freeBytes >= minFreeBytes) return { ready: true, minFreeBytes, freeBytes }
  return { ready: false, minFreeBytes, freeBytes, reason: 'the disk has less room than min-free-bytes' }
}
