import type * as z from 'zod'
import { json } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import type { HostedKey } from '../../instance/directory.ts'
import { CORS_HEADERS, NO_CACHE, PLAIN_TEXT } from '../headers.ts'
import { logRoute, type Route } from '../route.ts'
import { LogKeys, Text } from '../schemas.ts'

const READ = { ...CORS_HEADERS, ...NO_CACHE }

/**
 * The routes that list a log's keys. Verifiers do not rely on them: each starts from a key of its own and follows the
 * rotation statements.
 */
export function keyRoutes({ logs }: HttpDeps): Route[] {
  return [
    logRoute(logs, {
      method: 'get',
      path: 'v1/keys',
      permission: 'read_heads',
      tag: 'Read',
      summary: 'The keys of the log, with their times',
      description: 'Do not pin keys from this answer: start from a key that you got from a source you trust.',
      answers: { 200: { description: 'All of them.', content: { 'application/json': LogKeys } } },
      errors: [],
      handle: ({ hosted: { origin, keys, rotations } }) =>
        json(LogKeys, { origin, keys: keys.map(describe), rotations }, READ),
    }),
    logRoute(logs, {
      method: 'get',
      path: 'v1/keys/rotations',
      permission: 'read_heads',
      tag: 'Read',
      summary: 'Rotation statements: old keys name new ones',
      description:
        'Concatenated signed notes: the file that --rotations takes. Empty for a log that has had only one key.',
      answers: { 200: { description: 'The statements.', content: { [PLAIN_TEXT]: Text } } },
      errors: [],
      handle: ({ hosted }) => ({
        status: 200,
        headers: { 'content-type': PLAIN_TEXT, ...READ },
        body: hosted.rotations,
      }),
    }),
  ]
}

function describe({
  verifierKey,
  since,
  overlapUntilSeconds,
  retired,
}: HostedKey): z.output<typeof LogKeys>['keys'][number] {
  return {
    verifierKey,
    state: retired ? 'retired' : 'active',
    since,
    ...(overlapUntilSeconds === undefined ? {} : { overlapUntilSeconds }),
    ...(retired ? { retired } : {}),
  }
}
