import * as z from 'zod'
import { excerpt } from '../bytes/excerpt.ts'
import { SteleError } from '../errors.ts'
import { ByteReader } from './byte-reader.ts'
import { MAX_PACKAGE_BYTES } from './packages.ts'
import { formatVerifierKey } from '../note/key.ts'
import type { Answer } from '../http/answer.ts'
import { BodyBudget } from '../http/body-budget.ts'
import type { BodyReader } from '../http/body.ts'
import { PLAIN_TEXT } from '../http/headers.ts'
import { logListRoutes } from '../witness/log-list-routes.ts'
import { INFO_TYPE, pendingAnswer, uploadAnswer } from './answers.ts'
import type { MirrorHttpDeps } from './deps.ts'
import { rootRoute, type Call, type Route } from '../http/route.ts'
import { Bytes, Text } from '../http/schemas.ts'
import { serviceRoutes } from '../http/routes/service.ts'
import { OCTETS, TiledAnswers, type TiledCall } from '../http/tiled.ts'
import { UploadBody } from './upload-body.ts'
import { SIZE_TYPE } from '../witness/answers.ts'
import { CallerRates } from '../witness/rates.ts'

/** Where the copy of a log is served. */
export const CHECKPOINT_PATH = '/{hash}/checkpoint'
export const TILE_PATH = '/{hash}/tile/{level}/{tile}'
export const BUNDLE_PATH = '/{hash}/tile/entries/{tile}'

/** All routes of a mirror. */
export function mirrorRoutes(deps: MirrorHttpDeps, bodies: BodyReader): Route[] {
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
        // An answer may be read from the files while it is sent.
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
