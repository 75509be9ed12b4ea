import type { Server } from 'node:http'
import * as z from 'zod'
import { toBase64 } from '../bytes/base64.ts'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import type { Answer } from '../http/answer.ts'
import type { App } from '../http/app.ts'
import { BodyBudget, BodyReader } from '../http/body.ts'
import { Connections } from '../http/connections.ts'
import { fixedApp, type Found } from '../http/fixed-app.ts'
import { NO_STORE, PLAIN_TEXT } from '../http/headers.ts'
import { type Call, rootRoute, type Route } from '../http/route.ts'
import { serviceRoutes } from '../http/routes/service.ts'
import { Bytes, Text } from '../http/schemas.ts'
import { OCTETS, TiledAnswers, type TiledCall } from '../http/tiled.ts'
import { formatVerifierKey } from '../note/key.ts'
import { refusal, SIZE_TYPE, witnessAnswer } from '../witness/answers.ts'
import type { Verdict } from '../witness/judge.ts'
import { logListRoutes } from '../witness/log-list-routes.ts'
import { CallerRates } from '../witness/rates.ts'
import { type CosignerHttpDeps, DEFAULT_WITNESS_LIMITS, type WitnessLimits } from '../witness/routes.ts'
import { ByteReader, MAX_PACKAGE_BYTES } from './packages.ts'
import type { Mirror } from './mirror.ts'
import { UploadBody } from './upload-body.ts'
import type { MirrorInfo, Uploaded } from './upload.ts'

/** Where the copy of a log is served. */
const CHECKPOINT_PATH = '/{hash}/checkpoint'
const TILE_PATH = '/{hash}/tile/{level}/{tile}'
const BUNDLE_PATH = '/{hash}/tile/entries/{tile}'

/** All routes of a mirror. */
function mirrorRoutes(deps: MirrorHttpDeps, bodies: BodyReader): Route[] {
  const { metrics, mirror } = deps
  const service = {
    metrics,
    failure: () => [...mirror.failures.values()].find((failure) => failure !== undefined),
    describe: () => describe(mirror),
  }
  return [
    ...submissionRoutes(deps, bodies),
    ...copyRoutes(deps),
    ...logListRoutes(deps, bodies),
    ...serviceRoutes(service),
  ]
}

/** What moves a mirror on. */
function submissionRoutes({ mirror, limits }: MirrorHttpDeps, bodies: BodyReader): Route[] {
  const rates = new CallerRates(limits)
  const uploads = new BodyBudget(limits.maxUploads * MAX_PACKAGE_BYTES)
  const about = { method: 'post', permission: 'open', tag: 'Mirror' } as const
  return [
    rootRoute({
      ...about,
      path: '/add-checkpoint',
      summary: 'Says what a log has signed',
      body: { [PLAIN_TEXT]: Bytes },
      answers: {
        200: { description: 'It is the pending checkpoint now; nothing is cosigned.' },
        403: { description: 'No valid signature by a key of the log.' },
        409: { description: 'Another size is pending: this one.', content: { [SIZE_TYPE]: Text } },
        422: { description: 'The proof does not hold.' },
      },
      errors: ['malformed', 'out_of_range', 'not_found', 'too_large', 'rate_limited'],
      async handle({ req, res, caller: { share } }) {
        rates.take(share)
        const body = await bodies.read({ req, res, share, maxBytes: limits.maxBodyBytes, what: 'body' })
        return pendingAnswer(await mirror.addCheckpoint(body))
      },
    }),
    rootRoute({
      ...about,
      path: '/add-entries',
      summary: 'Uploads entries up to a pending checkpoint',
      body: { [OCTETS]: Bytes },
      answers: {
        200: { description: 'All is here: cosignature lines.', content: { [PLAIN_TEXT]: Text } },
        202: { description: 'Some is here; how to go on.', content: { [INFO_TYPE]: Text } },
        409: { description: 'Another range is wanted.', content: { [INFO_TYPE]: Text } },
        422: { description: 'A proof does not hold, or no checkpoint was added before.' },
      },
      errors: ['malformed', 'not_found', 'unsupported_media_type', 'too_slow', 'rate_limited', 'overloaded'],
      async handle({ req, res, caller: { share } }) {
        checkOctets(req.headers['content-type'])
        rates.take(share)
        uploads.take(share, MAX_PACKAGE_BYTES)
        try {
          return await receive(mirror, bodies, { req, res }, limits.uploadGraceMs)
        } finally {
          uploads.release(share, MAX_PACKAGE_BYTES)
        }
      },
    }),
  ]
}

async function receive(
  mirror: MirrorHttpDeps['mirror'],
  bodies: BodyReader,
  { req, res }: Pick<Call<unknown, unknown>, 'req' | 'res'>,
  graceMs: number,
): Promise<Answer> {
  const body = new UploadBody(req, graceMs)
  try {
    bodies.askFor(req, res)
    return uploadAnswer(await mirror.addEntries(new ByteReader(body.next)))
  } finally {
    body.close()
  }
}

function checkOctets(type: string | undefined): void {
  if (type?.split(';', 1)[0]!.trim().toLowerCase() === OCTETS) return
  throw new SteleError(
    'unsupported_media_type',
    `body: expected Content-Type ${OCTETS}, got ${excerpt(type ?? '')}`,
  )
}

/** The copies, each as c2sp.org/tlog-tiles serves a log. */
function copyRoutes({ mirror, limits }: MirrorHttpDeps): Route[] {
  const tiled = new TiledAnswers(limits.bundleCacheBytes)
  const route = (
    path: string,
    summary: string,
    serve: (call: TiledCall) => Promise<Answer>,
    large = false,
  ): Route =>
    rootRoute({
      large,
      method: 'get',
      path,
      permission: 'open',
      tag: 'Copies',
      summary,
      params: { hash: z.string(), rest: z.string() },
      answers: { 200: { description: 'As c2sp.org/tlog-tiles has it.' } },
      errors: ['not_found', 'malformed'],
      async handle({ req, res, path: { hash, rest } }) {
        const log = mirror.get(hash)
        if (!log) throw new SteleError('not_found', 'this mirror has no such log')
        // The answer may be read from the files while it is sent.
        const release = log.hold()
        if (res.closed) release()
        else res.once('close', release)
        return serve({ name: hash, log, rest, req, res })
      },
    })
  return [
    route(CHECKPOINT_PATH, 'The mirror checkpoint', async ({ log, req }) => tiled.checkpoint(log, req)),
    route(TILE_PATH, 'A tile of hashes', async ({ log, rest }) => tiled.tile(log, rest)),
    route(BUNDLE_PATH, 'An entry bundle', async (call) => tiled.bundle(call), true),
  ]
}

function describe({ keys, logs }: MirrorHttpDeps['mirror']): string {
  return [
    'A mirror of transparency logs (c2sp.org/tlog-mirror).',
    '',
    'Get its keys from its operator, and compare:',
    ...keys.map(({ verifier }) => formatVerifierKey(verifier)),
    '',
    `It has copies of ${logs.length} logs:`,
    ...logs.map(({ origin, hash }) => `/${hash}/  ${origin}`),
    '',
  ].join('\n')
}

/** SHA-256 of an origin, as c2sp.org/tlog-mirror puts it into the URL, and what stands behind it. */
const COPY = /^\/([0-9a-f]{64})\/(checkpoint|tile\/.*)$/

/** The HTTP layer of a mirror. */
function createMirrorApp(deps: MirrorHttpDeps): Pick<App, 'handler' | 'breakOff' | 'routes'> {
  const bodies = new BodyReader(deps.limits)
  const routes = mirrorRoutes(deps, bodies)
  const at = (path: string) => routes.find((route) => route.path === path)!
  const [checkpoint, tile, bundle] = [at(CHECKPOINT_PATH), at(TILE_PATH), at(BUNDLE_PATH)]
  const find = (target: string): Found | undefined => {
    const [, hash, rest] = COPY.exec(target) ?? []
    if (hash === undefined || rest === undefined) return undefined
    const route = rest === 'checkpoint' ? checkpoint : rest.startsWith('tile/entries/') ? bundle : tile
    return { route, path: { hash, rest } }
  }
  return fixedApp({ ...deps, routes, bodies, find })
}

/** An HTTP server for a mirror, not listening yet. Connections are bounded in number, requests and answers in time. */
export function createMirrorServer(deps: MirrorHttpDeps): Server {
  const { limits } = deps
  const connections = new Connections({ ...limits, bodyTimeoutMs: limits.uploadTimeoutMs })
  deps.metrics?.watch(connections)
  return connections.createServer(createMirrorApp({ ...deps, connections }))
}

/** What the HTTP layer of a mirror is given. */
interface MirrorHttpDeps extends CosignerHttpDeps {
  readonly mirror: Mirror
  readonly limits: MirrorLimits
}

/** What a mirror grants its callers. Those of a witness are for `add-checkpoint`; the rest is for uploads. */
export interface MirrorLimits extends WitnessLimits {
  /** Uploads at once, each of which holds up to some 20 MB; one caller gets half of them. */
  readonly maxUploads: number
  /** How long a sender may keep an upload waiting, beside the time that its bytes take at 16 kB a second. */
  readonly uploadGraceMs: number
  /** From the end of an upload's head to its end. What was verified by then is kept. */
  readonly uploadTimeoutMs: number
  /** Memory for entry bundles that were compressed and may be asked for again. */
  readonly bundleCacheBytes: number
}

export const DEFAULT_MIRROR_LIMITS: MirrorLimits = {
  ...DEFAULT_WITNESS_LIMITS,
  maxUploads: 8,
  uploadGraceMs: 20_000,
  uploadTimeoutMs: 3_600_000,
  bundleCacheBytes: 16 * 1024 * 1024,
}

/** The body of a 202 and a 409: three lines. Without a charset, for clients compare it as it is. */
const INFO_TYPE = 'text/x.tlog.mirror-info'

/** Tells uploaders that they may compress (c2sp.org/tlog-mirror). */
const UPLOAD_HEADERS = { 'accept-encoding': 'gzip', ...NO_STORE }

/** The answer of c2sp.org/tlog-mirror to an `add-checkpoint`: that of a witness, with nothing cosigned. */
function pendingAnswer(verdict: Verdict): Answer {
  return witnessAnswer(verdict.kind === 'cosign' ? { kind: 'cosigned', lines: '' } : verdict)
}

/** The answer of c2sp.org/tlog-mirror to an `add-entries`. */
function uploadAnswer(uploaded: Uploaded): Answer {
  switch (uploaded.kind) {
    case 'cosigned':
      return { status: 200, headers: { 'content-type': PLAIN_TEXT, ...UPLOAD_HEADERS }, body: uploaded.lines }
    case 'partial':
      return infoAnswer(202, uploaded.info)
    case 'conflict':
      return infoAnswer(409, uploaded.info)
    case 'refused':
      return refusal(uploaded.error)
  }
}

function infoAnswer(status: number, { size, nextEntry, ticket }: MirrorInfo): Answer {
  const body = `${size}\n${nextEntry}\n${toBase64(ticket)}\n`
  return { status, headers: { 'content-type': INFO_TYPE, ...UPLOAD_HEADERS }, body }
}
