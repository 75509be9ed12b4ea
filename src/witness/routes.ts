import type { Server } from 'node:http'
import * as z from 'zod'
import { SteleError } from '../errors.ts'
import { text } from '../http/answer.ts'
import type { App } from '../http/app.ts'
import { BodyReader } from '../http/body.ts'
import { type ConnectionLimits, Connections } from '../http/connections.ts'
import { fixedApp } from '../http/fixed-app.ts'
import { CORS_HEADERS, NO_CACHE, PLAIN_TEXT } from '../http/headers.ts'
import type { Logger } from '../http/logger.ts'
import type { Metrics } from '../http/metrics/metrics.ts'
import { rootRoute, type Route } from '../http/route.ts'
import { type Service, serviceRoutes } from '../http/routes/service.ts'
import { Bytes, Text } from '../http/schemas.ts'
import { formatVerifierKey } from '../note/key.ts'
import { SIZE_TYPE, witnessAnswer } from './answers.ts'
import { type LogAdmin, logListRoutes } from './log-list-routes.ts'
import { CallerRates } from './rates.ts'
import type { Answered, Witness } from './witness.ts'

/** The path of {@link checkpointRoute}, which stands for one per log. */
const CHECKPOINT_PATH = '/{hash}/checkpoint'

/** All routes of a witness. */
function witnessRoutes(deps: WitnessHttpDeps, bodies: BodyReader): Route[] {
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
        // Before the body, so that the body of a caller above its rate is not read.
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

/** SHA-256 of an origin, as c2sp.org/tlog-witness puts it into the URL. */
const CHECKPOINT = /^\/([0-9a-f]{64})\/checkpoint$/

/** The HTTP layer of a witness. */
function createWitnessApp(deps: WitnessHttpDeps): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const bodies = new BodyReader(deps.limits)
  const routes = witnessRoutes(deps, bodies)
  const route = routes.find(({ path }) => path === CHECKPOINT_PATH)!
  const find = (target: string) => {
    const hash = CHECKPOINT.exec(target)?.[1]
    return hash === undefined ? undefined : { route, path: { hash } }
  }
  return fixedApp({ ...deps, routes, bodies, find })
}

/** An HTTP server for a witness, not listening yet. Connections are bounded in number, requests and answers in time. */
export function createWitnessServer(deps: WitnessHttpDeps): Server {
  const connections = new Connections(deps.limits)
  deps.metrics?.watch(connections)
  return connections.createServer(createWitnessApp({ ...deps, connections }))
}

/** Dependencies of the HTTP layer of a witness or mirror. */
export interface CosignerHttpDeps {
  readonly limits: WitnessLimits
  /** Bounds what all requests together may take. If absent, this handler makes its own. */
  readonly connections?: Connections
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
  /** If absent, nothing is counted and `metrics` is not found. */
  readonly metrics?: Metrics
  readonly logger?: Logger
  /** If absent, logs cannot be listed or changed over HTTP. */
  readonly admin?: LogAdmin | undefined
  /** Aborted when the server begins to stop: connections close behind their answers. */
  readonly stopping?: AbortSignal
}

/** What the HTTP layer of a witness is given. */
export interface WitnessHttpDeps extends CosignerHttpDeps {
  readonly witness: Witness
}

/** Limits of a witness, the same for all callers: it authenticates none, and trusts only signatures of logs. */
export interface WitnessLimits extends ConnectionLimits {
  /** Bytes of one body; more get 413. */
  readonly maxBodyBytes: number
  /** Bytes of all bodies that are being read at one moment; one caller gets half of it. */
  readonly maxBodyBytesInFlight: number
  /** Requests to sign of one address, on average; more get 429. */
  readonly callerRequestsPerSecond: number
  /** How many of them may come at once. */
  readonly callerBurst: number
}

export const DEFAULT_WITNESS_LIMITS: WitnessLimits = {
  // 16 ML-DSA-44 lines are 53 kB, 63 proof lines under 3 kB; names and extension lines have what is left.
  maxBodyBytes: 128 * 1024,
  bodyTimeoutMs: 10_000,
  headersTimeoutMs: 10_000,
  maxBodyBytesInFlight: 16 * 1024 * 1024,
  maxConnections: 2000,
  maxConnectionsPerAddress: 0,
  answerTimeoutMs: 30_000,
  maxAnswerBytesInFlight: 64 * 1024 * 1024,
  callerRequestsPerSecond: 50,
  callerBurst: 500,
}
