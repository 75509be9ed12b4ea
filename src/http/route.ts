import type { IncomingMessage, ServerResponse } from 'node:http'
import * as z from 'zod'
import type { Caller } from '../access/caller.ts'
import type { Permission } from '../access/role.ts'
import type { ErrorCode } from '../errors.ts'
import type { Log } from '../log/log.ts'
import type { Answer } from './answer.ts'
import { noSuchLog, openedLog, type HostedLog, type LogDirectory } from '../instance/directory.ts'
import { parseParams, parseQuery } from './params.ts'

/** A request with its route's parameters. */
export interface Incoming {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  /** The text after the "?" of the URL, or empty. */
  readonly search: string
  /** Values of the parameters in the route's path. */
  readonly path: Readonly<Record<string, string>>
}

/** A request that was authorized. */
export interface RawCall extends Incoming {
  readonly caller: Caller
}

/** A request with its parameters parsed. */
export interface Call<Query, Path> {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly caller: Caller
  readonly query: Query
  readonly path: Path
}

/** A call about one log, which may not be open. */
export interface HostedCall<Query, Path> extends Call<Query, Path> {
  readonly hosted: HostedLog
}

/** A call about one open log. */
export interface LogCall<Query, Path> extends HostedCall<Query, Path> {
  readonly log: Log
}

/** Media types of a body, each with the schema of its content. */
export type Content = Readonly<Record<string, z.ZodType>>

interface Description {
  readonly method: 'get' | 'post'
  /** In the form of OpenAPI: `/logs/{log}/v1/entries/{index}`. */
  readonly path: string
  /** The permission that a caller needs; `access/role.ts` says which roles have it. */
  readonly permission: Permission
  /** The permission where it depends on the query. Decided from the raw query, before it is parsed. */
  readonly permissionOf?: (search: string) => Permission
  /** The group under which the API's description shows it. */
  readonly tag: string
  readonly summary: string
  readonly description?: string
  /** The request body. */
  readonly body?: Content
  /** By status; an answer without content has an empty body. */
  readonly answers: Readonly<Record<number, { description: string; content?: Content }>>
  /** Error codes of this route, besides those of every route. */
  readonly errors: readonly ErrorCode[]
  /** Answered ahead of Koa. */
  readonly raw?: boolean
  /** Its answers may be large, so only a few are made at once. */
  readonly large?: boolean
}

/** One route: description and handler. Both the router and the API's description are made from a list of these. */
export interface Route extends Description {
  readonly querySchema: z.ZodObject
  readonly pathSchema: z.ZodObject
  /** RFC 6962: problems have types, and unknown parameters are ignored. */
  readonly ct: boolean
  /** Answers a request. Refuses by throwing, synchronously or not. */
  handle(call: RawCall): Answer | Promise<Answer>
}

/** True for routes that readers use. All others change something or reveal how the server is run. */
export function isReadable({ method, permission }: Pick<Route, 'method' | 'permission'>): boolean {
  return method === 'get' && READING.includes(permission)
}

const READING: readonly Permission[] = ['open', 'read_heads', 'read_proofs', 'read_entries']

interface Spec<Q extends z.ZodRawShape, P extends z.ZodRawShape, C> extends Description {
  readonly query?: Q
  readonly params?: P
  handle(call: C): Answer | Promise<Answer>
}

type Parsed<S extends z.ZodRawShape> = z.output<z.ZodObject<S>>

/** A route at the root of the server. */
export function rootRoute<Q extends z.ZodRawShape = {}, P extends z.ZodRawShape = {}>(
  spec: Spec<Q, P, Call<Parsed<Q>, Parsed<P>>>,
): Route {
  const { read, ...schemas } = schemasOf(spec)
  return {
    ...spec,
    ...schemas,
    handle(raw) {
      return spec.handle({ req: raw.req, res: raw.res, caller: raw.caller, ...read(raw) })
    },
  }
}

/** A route below `/logs/{log}/`; the rest of its path is `spec.path`. */
export function logRoute<Q extends z.ZodRawShape = {}, P extends z.ZodRawShape = {}>(
  logs: LogDirectory,
  spec: Spec<Q, P, LogCall<Parsed<Q>, Parsed<P>>>,
): Route {
  return routeOfLog(spec, `/logs/{log}/${spec.path}`, (name) => openedLog(logs, name))
}

/**
 * A route about one log, open or not, with `{log}` in its path. A log that does not exist is refused before parameters.
 */
export function hostedRoute<Q extends z.ZodRawShape = {}, P extends z.ZodRawShape = {}>(
  logs: LogDirectory,
  spec: Spec<Q, P, HostedCall<Parsed<Q>, Parsed<P>>>,
): Route {
  return routeOfLog(spec, spec.path, (name) => {
    const hosted = logs.get(name)
    if (!hosted) throw noSuchLog(name)
    return { hosted }
  })
}

/** A route whose handler gets more than the parameters: what `find` returns for the name of a log. */
function routeOfLog<Q extends z.ZodRawShape, P extends z.ZodRawShape, Found extends object>(
  spec: Spec<Q, P, Call<Parsed<Q>, Parsed<P>> & Found>,
  path: string,
  find: (name: string) => Found,
): Route {
  const { read, pathSchema, ...schemas } = schemasOf(spec)
  return {
    ...spec,
    ...schemas,
    path,
    pathSchema: pathSchema.extend({ log: LogName }),
    handle(raw) {
      const found = find(raw.path['log'] ?? '')
      const { query, path: params } = read(raw)
      // The spread last: an object literal that begins with one costs microseconds at every request.
      return spec.handle({ req: raw.req, res: raw.res, caller: raw.caller, query, path: params, ...found })
    },
  }
}

const LogName = z.string().meta({ description: 'Name of a log, as listed by v1/logs.' })

/** Parameters of a route and how to parse them. An empty query is parsed once: its defaults never change. */
function schemasOf<Q extends z.ZodRawShape, P extends z.ZodRawShape>(
  spec: Spec<Q, P, never>,
): Pick<Route, 'ct' | 'querySchema' | 'pathSchema'> & {
  readonly read: (raw: RawCall) => { query: Parsed<Q>; path: Parsed<P> }
} {
  const ct = spec.path.startsWith('ct/v1/')
  const shape = spec.query ?? ({} as Q)
  const known = new Set(Object.keys(shape))
  // A misspelt parameter is refused, because ignoring `wiat=published` would break a promise silently. RFC 6962 demands
  // the opposite for its routes, and pages and health checks promise nothing that depends on a parameter.
  const strict = spec.path.startsWith('/') ? spec.path.startsWith('/v1/') : !ct
  const querySchema = strict ? z.strictObject(shape) : z.object(shape)
  const pathSchema = z.object(spec.params ?? ({} as P))
  let defaults: Parsed<Q> | undefined
  return {
    ct,
    querySchema,
    pathSchema,
    read({ search, path }) {
      const readQuery = (): Parsed<Q> => parseQuery(querySchema, search, known)
      return {
        query: search === '' ? (defaults ??= readQuery()) : readQuery(),
        path: (spec.params ? parseParams(pathSchema, path) : {}) as Parsed<P>,
      }
    },
  }
}
