import { claimedId } from '../access/api-key.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Configuration } from '../instance/configuration.ts'
import { logOf, rolesOf, routeOf, shownTarget, within } from './meta-words.ts'
import type { RequestLine } from './request-lines.ts'

/**
 * One line of the meta log: JSON, with `at` and `kind` first. `proto-docs/audit-trail.md` describes every kind. What is
 * written stays for ever, so nothing secret is in it: of a key its id, of a request what its URL says.
 */
export type MetaLine =
  RequestLine | DeniedLine | AdminLine | StartLine | { readonly kind: 'stop' } | EventLine

/** What was refused at the gate, once for each caller, reason and minute. */
export interface DeniedLine {
  readonly kind: 'denied'
  /** With `role` who it was; without it the id that a well-formed key claimed. */
  readonly who?: string
  /** Present if the caller is known: the credentials were verified. */
  readonly role?: string
  readonly route: string
  readonly log?: string
  readonly query: string
  readonly status: number
  readonly code: string
  /** `others` in a line about many networks. */
  readonly address: string
  /** Of a line that unknown callers share: how many networks they came from, counted up to 10,000. */
  readonly networks?: number
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
  /** Of an act that puts entries into the log: where. */
  readonly index?: number
  readonly entries?: number
  /** What the configuration is once this is done. In the log: its summary, behind the parts of logs that change. */
  readonly configuration: Configuration
}

/** The server began. */
export interface StartLine {
  readonly kind: 'start'
  readonly version: string
  /** In the log: its summary, behind lines with the parts of logs. */
  readonly configuration: Configuration
  /** Which parts differ from the last configuration that was recorded; empty when nothing was touched. */
  readonly changed: readonly string[]
  /** How many do, where the list is cut. */
  readonly changedInAll?: number
  /** The logs that are open. */
  readonly sizes?: readonly { readonly log: string; readonly size: number }[]
}

/** Something that happened to a log, or to the server. */
export interface EventLine {
  readonly kind: 'event'
  readonly event: string
  readonly log?: string
  readonly details?: unknown
}

/** Of the target and the log's name that an unknown caller wrote, this much is kept. */
const UNKNOWN_TARGET_BYTES = 128
const UNKNOWN_LOG_BYTES = 64
/** An IPv6 address has at most 45 characters; one with a zone can have any number. */
const ADDRESS_BYTES = 64

/** What is written of a request that was refused at the gate. */
export function deniedLine(exchange: Exchange): DeniedLine {
  const { call, caller, error, answer, address } = exchange
  const isKnown = caller !== undefined && caller.kind !== 'anonymous'
  const claimed = isKnown ? undefined : claimedBy(exchange)
  const log = logOf(call)
  const target = shownTarget(call.req.url ?? '')
  return {
    kind: 'denied',
    ...(isKnown ? { who: caller.id, role: rolesOf(caller) } : {}),
    ...(claimed === undefined ? {} : { who: claimed }),
    route: routeOf(exchange),
    ...(log === undefined ? {} : { log: isKnown ? log : within(log, UNKNOWN_LOG_BYTES) }),
    query: isKnown ? target : within(target, UNKNOWN_TARGET_BYTES),
    status: answer.status,
    code: error?.code ?? 'internal',
    address: within(address, ADDRESS_BYTES),
    count: 1,
  }
}

/** The id of a key that came whole, while its network has guesses left: past that, ids are not looked at. */
function claimedBy({ call, error }: Exchange): string | undefined {
  return error?.code === 'unauthenticated' ? claimedId(call.req.headers.authorization) : undefined
}
