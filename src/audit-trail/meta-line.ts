import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { claimedId } from '../access/api-key.ts'
import type { Caller } from '../access/caller.ts'
import { redact } from '../access/redact.ts'
import type { Exchange } from '../http/trail.ts'
import type { Incoming } from '../http/route.ts'
import type { Configuration } from '../instance/configuration.ts'

/**
 * One line of the meta log: JSON, with `at` and `kind` first. `proto-docs/audit-trail.md` describes every kind. What is
 * written stays for ever, so nothing secret is in it: of a key its id, of a request what its URL says.
 */
export type MetaLine =
  RequestLine | DeniedLine | AdminLine | StartLine | { readonly kind: 'stop' } | EventLine

/** A refusal at the gate, once for each caller, reason and minute. */
export interface DeniedLine {
  readonly kind: 'denied'
  /** With `role` the authenticated caller; without it the id that a well-formed key claimed. */
  readonly who?: string
  /** Present if the caller was authenticated. */
  readonly role?: string
  readonly route: string
  readonly log?: string
  readonly query: string
  readonly status: number
  readonly code: string
  /** `others` in a line about many networks. */
  readonly address: string
  /** For a line that unknown callers share: the number of their networks, up to 10,000. */
  readonly networks?: number
  /** Requests like this one; those after the first are counted in a line at the end of the minute. */
  readonly count: number
}

/** A change to the server or to the access to it. */
export interface AdminLine {
  readonly kind: 'admin'
  readonly act: string
  readonly by: string
  readonly log?: string
  readonly before: unknown
  readonly after: unknown
  /** Parts that this act changes and that were changed outside of Stele since they were recorded. */
  readonly changed?: readonly string[]
  /** For an announced act that failed, whose name then ends in `_failed`: the reason. */
  readonly error?: { readonly code: string; readonly message: string }
  /** For an act that adds entries to the log: the first index. */
  readonly index?: number
  readonly entries?: number
  /** The configuration after this act. The meta log holds its summary, after the parts of logs that change. */
  readonly configuration: Configuration
}

/** The start of the server. */
export interface StartLine {
  readonly kind: 'start'
  readonly version: string
  /** The meta log holds its summary, after lines with the parts of logs. */
  readonly configuration: Configuration
  /** Parts that differ from the last recorded configuration; empty if none does. */
  readonly changed: readonly string[]
  /** Their number, if the list is cut. */
  readonly changedInAll?: number
  /** The logs that are open. */
  readonly sizes?: readonly { readonly log: string; readonly size: number }[]
}

/** An event of a log or of the server. */
export interface EventLine {
  readonly kind: 'event'
  readonly event: string
  readonly log?: string
  readonly details?: unknown
}

/** Bytes that are kept of the target and of the log name that an unknown caller sent. */
const UNKNOWN_TARGET_BYTES = 128
const UNKNOWN_LOG_BYTES = 64
/** An IPv6 address has at most 45 characters; one with a zone can have any number. */
const ADDRESS_BYTES = 64

/** The record of a request that the gate refused. */
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

/** The id of a well-formed key, while its network has guesses left; after that, ids are ignored. */
function claimedBy({ call, error }: Exchange): string | undefined {
  return error?.code === 'unauthenticated' ? claimedId(call.req.headers.authorization) : undefined
}

/** The caller and the request. */
interface Question {
  readonly kind: 'request'
  /** Key id, or the id of a person (`personId` in `access/tokens.ts`). */
  readonly who: string
  readonly role: string
  readonly route: string
  readonly log?: string
  /** The request's target without secrets, cut after 512 characters, and SHA-256 of all of it. */
  readonly query: string
  readonly queryHash: string
}

/** The result of the request. */
interface Outcome {
  readonly status: number
  readonly code?: string
  readonly count?: number
  /** For new entries: the index of the first, and how many. */
  readonly index?: number
  readonly entries?: number
  readonly bytes: number
  readonly address: string
  readonly tookMs: number
  /** The ID in the answer and in the server's own log. */
  readonly requestId: string
}

/** A request of an authenticated caller, and its result. */
type RequestLine = Question & Outcome

/** Requests whose text is cached, and the longest target of a cached one. */
const MOST_QUESTIONS = 1000
const LONGEST_TARGET = 512

/**
 * Records requests of authenticated callers. Writers repeat the same request to the same log, so the texts of the
 * latest requests are cached: finding secrets, hashing and quoting again would be half of the cost of a line.
 */
export class RequestLines {
  readonly #questions = new LRUCache<string, string>({ max: MOST_QUESTIONS })

  /** A {@link RequestLine} as JSON, without its opening brace. */
  textOf(exchange: Exchange, caller: Caller): string {
    return `${this.#questionOf(exchange, caller)},${JSON.stringify(outcomeOf(exchange)).slice(1)}`
  }

  #questionOf(exchange: Exchange, caller: Caller): string {
    const { id: who } = caller
    const role = rolesOf(caller)
    const route = routeOf(exchange)
    const url = exchange.call.req.url ?? ''
    // A person's id may contain spaces, but nothing else here can, so the key is unambiguous.
    const key = `${who} ${role} ${route} ${url}`
    const known = this.#questions.get(key)
    if (known !== undefined) return known
    const log = logOf(exchange.call)
    const question: Question = {
      kind: 'request',
      who,
      role,
      route,
      ...(log === undefined ? {} : { log }),
      query: shownTarget(url),
      queryHash: hash('sha256', url, 'hex'),
    }
    const text = JSON.stringify(question).slice(1, -1)
    if (url.length <= LONGEST_TARGET) this.#questions.set(key, text)
    return text
  }
}

function outcomeOf({ answer, error, address, tookMs, requestId }: Exchange): Outcome {
  return {
    status: answer.status,
    ...(error ? { code: error.code } : {}),
    ...(answer.count === undefined ? {} : { count: answer.count }),
    ...answer.placed,
    bytes: lengthOf(answer.body),
    address,
    tookMs: Math.round(tookMs * 100) / 100,
    requestId,
  }
}

/** Characters of a request's target that are shown. */
const SHOWN_LENGTH = 512

/** A request's target without secrets, shortened. */
function shownTarget(url: string): string {
  return redact(url).slice(0, SHOWN_LENGTH)
}

/** The start of a text, of at most so many bytes as a JSON string without its quotes. */
function within(text: string, bytes: number): string {
  let shown = text.slice(0, bytes)
  while (Buffer.byteLength(JSON.stringify(shown)) - 2 > bytes) shown = shown.slice(0, -1)
  return shown
}

function routeOf({ route, call }: Exchange): string {
  return `${call.req.method ?? ''} ${route.path}`
}

/** As the caller sent it: a denied caller can name any log. */
function logOf({ path }: Incoming): string | undefined {
  const log = path['log']
  return log === undefined ? undefined : redact(log).slice(0, 64)
}

function rolesOf({ grants }: Caller): string {
  if (grants.length === 1) return grants[0]!.role
  return [...new Set(grants.map(({ role }) => role))].join('+')
}

/** Bytes of a body. */
function lengthOf(body: string | { readonly length: number } | undefined): number {
  if (body === undefined) return 0
  return typeof body === 'string' ? Buffer.byteLength(body) : body.length
}
