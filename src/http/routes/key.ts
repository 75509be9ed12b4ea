import type * as z from 'zod'
import { json } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import type { HostedKey } from '../../instance/directory.ts'
import { CORS_HEADERS, NO_CACHE, PLAIN_TEXT } from '../headers.ts'
import { logRoute, type Route } from '../route.ts'
import { LogKeys, Text } from '../schemas.ts'

const READ = { ...CORS_HEADERS, ...NO_CACHE }

/** What a log says of its keys. Nobody has to believe it: a verifier starts from a key of its own, and follows. */
export function keyRoutes({ logs }: HttpDeps): Route[] {
  return [
    logRoute(logs, {
      method: 'get',
      path: 'v1/keys',
      permission: 'read_heads',
      tag: 'Read',
      summary: 'The keys of the log, with their times',
      description: 'Do not pin what a log says of itself: start from a key that somebody you trust gave you.',
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
      summary: 'What old keys say of new ones',
      description:
        'Signed notes, one behind the other: the file that --rotations takes. Empty for a log that had one key.',
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
