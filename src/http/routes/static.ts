import * as z from 'zod'
import type { Permission } from '../../access/role.ts'
import type { Log } from '../../log/log.ts'
import type { Answer } from '../answer.ts'
import type { HttpDeps } from '../deps.ts'
import { openedLog } from '../../instance/directory.ts'
import { NOT_MODIFIED } from '../checkpoint.ts'
import { PLAIN_TEXT } from '../headers.ts'
import type { Content, Route } from '../route.ts'
import { Bytes, Text } from '../schemas.ts'
import { OCTETS, TiledAnswers, type TiledCall } from '../tiled.ts'

/** The read path of c2sp.org/tlog-tiles. Answered ahead of Koa, which would cost more than the answers themselves. */
export interface StaticRoutes {
  readonly routes: readonly Route[]
  /** The route for the path after `/logs/<name>/` of a raw URL; undefined if it is no static path. */
  match(rest: string): Route | undefined
}

/** Makes the static routes. */
export function staticRoutes({ logs, limits }: HttpDeps): StaticRoutes {
  const tiled = new TiledAnswers(limits.bundleCacheBytes)

  const route = (path: string, permission: Permission, spec: StaticSpec): Route => ({
    method: 'get',
    path: `/logs/{log}/${path}`,
    permission,
    tag: 'Tiles',
    summary: spec.summary,
    description: spec.description,
    answers: { 200: { description: 'The resource.', content: spec.content }, ...spec.answers },
    errors: ['not_found', 'malformed'],
    raw: true,
    ct: false,
    querySchema: z.object({}),
    pathSchema: z.object(Object.fromEntries(namesIn(path).map((name) => [name, PARAMETERS[name]!]))),
    ...(spec.large ? { large: true } : {}),
    async handle({ req, res, path: { log: name = '', rest = '' } }) {
      return spec.serve({ name, log: openedLog(logs, name).log, rest, req, res })
    },
  })

  const tile = {
    summary: 'A tile of hashes',
    description: TILES,
    content: { [OCTETS]: Bytes },
    serve: async ({ log, rest }: StaticCall) => tiled.tile(log, rest),
  }
  const bundle = {
    summary: 'An entry bundle',
    description: BUNDLES,
    content: { [OCTETS]: Bytes },
    large: true,
    serve: async (call: StaticCall) => tiled.bundle(call),
  }
  const checkpoint = route('checkpoint', 'read_heads', {
    summary: 'The published checkpoint',
    description: 'The signed note of c2sp.org/tlog-checkpoint. Has an ETag.',
    content: { [PLAIN_TEXT]: Text },
    answers: NOT_MODIFIED,
    serve: async ({ log, req }) => tiled.checkpoint(log, req),
  })
  const pair = (path: string, permission: Permission, spec: StaticSpec): readonly [Route, Route] => [
    route(path, permission, spec),
    route(`${path}.p/{width}`, permission, spec),
  ]
  // A leaf hash confirms a guess of an entry's content. A hash of hundreds of entries confirms none.
  const leaves = pair('tile/0/{tile}', 'read_entries', tile)
  const tiles = pair('tile/{level}/{tile}', 'read_heads', tile)
  const entries = pair('tile/entries/{tile}', 'read_entries', bundle)

  return {
    routes: [checkpoint, ...leaves, ...tiles, ...entries],
    match(rest) {
      if (rest === 'checkpoint' || rest.startsWith('checkpoint?')) return checkpoint
      if (!rest.startsWith('tile/')) return undefined
      const kind = rest.startsWith('tile/0/') ? leaves : rest.startsWith('tile/entries/') ? entries : tiles
      return kind[rest.includes('.p/') ? 1 : 0]
    },
  }
}

interface StaticCall extends TiledCall {
  readonly log: Log
}

interface StaticSpec {
  readonly summary: string
  readonly description: string
  readonly content: Content
  readonly answers?: Route['answers']
  readonly large?: boolean
  serve(call: StaticCall): Promise<Answer>
}

const TILES =
  'c2sp.org/tlog-tiles: 256 hashes of 32 bytes, or as many as the width says. Served up to the published size, and ' +
  'immutable. Partial widths stay available after a tile is full.'
const BUNDLES =
  'c2sp.org/tlog-tiles: uint16 length and bytes of each of 256 entries, or of as many as the width says. Immutable; ' +
  'compressed with gzip if the caller accepts it, unless that would save nothing or the bundle is above 1 MiB.'

const integer = (minimum: number, maximum: number) => ({ type: 'integer', minimum, maximum }) as const

const PARAMETERS: Readonly<Record<string, z.ZodType>> = {
  log: z.string().meta({ description: 'Name of a log, as listed by v1/logs.' }),
  level: z.string().meta({ description: '0 to 63.', override: integer(0, 63), example: 0 }),
  tile: z.string().meta({
    description:
      'Three digits. Above 999 groups of three digits stand in front as path segments of their own, each behind an "x": ' +
      '1234067 is x001/x234/067. OpenAPI has no parameters of several segments, so the pattern describes a single one.',
    override: { type: 'string', pattern: '^[0-9]{3}$' },
    example: '000',
  }),
  width: z.string().meta({ description: '1 to 255.', override: integer(1, 255), example: 7 }),
}

function namesIn(path: string): string[] {
  return ['log', ...[...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]!)]
}
