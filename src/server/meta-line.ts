import { parseLeadingId } from '../access/api-key.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Configuration } from './configuration.ts'
import { logOf, rolesOf, routeOf, shownTarget } from './meta-words.ts'
import type { RequestLine } from './request-lines.ts'

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
  readonly log?: string
  readonly before: unknown
  readonly after: unknown
  /** Parts that this changes and that somebody had changed since they were recorded. */
  readonly changed?: readonly string[]
  /** Of an act that was announced and failed, whose name then ends in `_failed`: why. */
  readonly error?: { readonly code: string; readonly message: string }
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

/** Something that happened to a log, or to the server. */
export interface EventLine {
  readonly kind: 'event'
  readonly event: string
  readonly log?: string
  readonly details?: unknown
}

/** What is written of a request that was refused at the gate. */
export function deniedLine(exchange: Exchange): DeniedLine {
  const { call, caller, error, answer, address } = exchange
  const claimed = caller ? undefined : parseLeadingId(call.req.headers.authorization)
  const log = logOf(call)
  return {
    kind: 'denied',
    ...(caller && caller.kind !== 'anonymous' ? { who: caller.id, role: rolesOf(caller) } : {}),
    ...(claimed === undefined ? {} : { who: claimed }),
    route: routeOf(exchange),
    ...(log === undefined ? {} : { log }),
    query: shownTarget(call.req.url ?? ''),
    status: answer.status,
    code: error?.code ?? 'internal',
    address,
    count: 1,
  }
}
