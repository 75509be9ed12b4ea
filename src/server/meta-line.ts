import { createHash } from 'node:crypto'
import type { Caller } from '../access/caller.ts'
import type { KeyAct } from '../access/keyring.ts'
import { parseLeadingId } from '../access/api-key.ts'
import type { Traced } from '../http/trail.ts'
import type { Configuration } from './configuration.ts'

/**
 * One line of the meta log: JSON, with `at` and `kind` first. `proto-docs/access.md` describes every kind. What is
 * written stays for ever, so nothing secret is in it: of a key its id, of a request what its URL says.
 */
export type MetaLine =
  | RequestLine
  | DeniedLine
  | AdminLine
  | StartLine
  | { readonly kind: 'stop' }
  | { readonly kind: 'configuration'; readonly configuration: Configuration }
  | EventLine

/** What a known caller did, and what came of it. */
export interface RequestLine {
  readonly kind: 'request'
  /** Key id or subject. */
  readonly who: string
  readonly role: string
  readonly route: string
  readonly log?: string
  /** The request's target as it came, cut after {@link SHOWN_LENGTH} characters, and SHA-256 of all of it. */
  readonly query: string
  readonly queryHash: string
  readonly status: number
  readonly code?: string
  readonly count?: number
  readonly bytes: number
  readonly address: string
  readonly tookMs: number
  /** As in the answer, and in the server's own log. */
  readonly requestId: string
}

/** What was refused at the gate, once for each caller, reason and minute. */
export interface DeniedLine {
  readonly kind: 'denied'
  /** Id that the credentials claimed, or nothing. */
  readonly who?: string
  readonly role?: string
  readonly route: string
  readonly log?: string
  readonly query: string
  readonly status: number
  readonly code: string
  readonly address: string
  /** Requests like this one; those after the first are counted in a line at the end of the minute. */
  readonly count: number
}

/** Somebody changed what this server is, or who may use it. */
export interface AdminLine {
  readonly kind: 'admin'
  readonly act: string
  readonly by: string
  readonly before: unknown
  readonly after: unknown
  /** What the configuration is once this is done. */
  readonly configuration: Configuration
}

/** The server began. */
export interface StartLine {
  readonly kind: 'start'
  readonly version: string
  readonly configuration: Configuration
  /** Which parts differ from the last configuration that was recorded; empty when nobody touched anything. */
  readonly changed: readonly string[]
}

/** Something that happened to a log. */
export interface EventLine {
  readonly kind: 'event'
  readonly event: string
  readonly log?: string
  readonly details?: unknown
}

/** Of a request's target, this many characters are shown; the hash is of all of them. */
const SHOWN_LENGTH = 512

/** What is written of a request by somebody who is known. */
export function requestLine({ call, caller, ...traced }: Traced & { caller: Caller }): RequestLine {
  const { answer, error, tookMs } = traced
  return {
    kind: 'request',
    who: caller.id,
    role: rolesOf(caller),
    ...targetOf(traced, call),
    queryHash: createHash('sha256')
      .update(call.req.url ?? '')
      .digest('hex'),
    status: answer.status,
    ...(error ? { code: error.code } : {}),
    ...(answer.count === undefined ? {} : { count: answer.count }),
    bytes: lengthOf(answer.body),
    address: traced.address,
    tookMs: Math.round(tookMs * 100) / 100,
    requestId: traced.requestId,
  }
}

/** What is written of a request that was refused at the gate. */
export function deniedLine({ call, caller, error, answer, ...traced }: Traced): DeniedLine {
  const claimed = caller ? undefined : parseLeadingId(call.req.headers.authorization)
  return {
    kind: 'denied',
    ...(caller && caller.kind !== 'anonymous' ? { who: caller.id, role: rolesOf(caller) } : {}),
    ...(claimed === undefined ? {} : { who: claimed }),
    ...targetOf(traced, call),
    status: answer.status,
    code: error?.code ?? 'internal',
    address: traced.address,
    count: 1,
  }
}

/** What is written of a change to the keys. */
export function keyActLine({ act, by, before, after }: KeyAct, configuration: Configuration): AdminLine {
  return { kind: 'admin', act, by, before, after, configuration }
}

function targetOf(
  { route }: Pick<Traced, 'route'>,
  { req, path }: Traced['call'],
): Pick<RequestLine, 'route' | 'log' | 'query'> {
  const log = path['log']
  return {
    route: `${req.method ?? ''} ${route.path}`,
    ...(log === undefined ? {} : { log: log.slice(0, 64) }),
    query: (req.url ?? '').slice(0, SHOWN_LENGTH),
  }
}

function rolesOf({ grants }: Caller): string {
  return [...new Set(grants.map(({ role }) => role))].join('+')
}

function lengthOf(body: string | Uint8Array | undefined): number {
  if (body === undefined) return 0
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length
}
