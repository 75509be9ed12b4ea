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

/** Who asked for what. */
interface Question {
  readonly kind: 'request'
  /** Key id, or how `access/person.ts` calls a person. */
  readonly who: string
  readonly role: string
  readonly route: string
  readonly log?: string
  /** The request's target as it came but for secrets, cut after 512 characters, and SHA-256 of all of it. */
  readonly query: string
  readonly queryHash: string
}

/** What came of it. */
interface Outcome {
  readonly status: number
  readonly code?: string
  readonly count?: number
  /** Of new entries: the index of the first, and how many. */
  readonly index?: number
  readonly entries?: number
  readonly bytes: number
  readonly address: string
  readonly tookMs: number
  /** As in the answer, and in the server's own log. */
  readonly requestId: string
}

/** What a known caller did, and what came of it. */
type RequestLine = Question & Outcome

/** Questions that are remembered, and how long the target of such a one is at most. */
const MOST_QUESTIONS = 1000
const LONGEST_TARGET = 512

/**
 * What is written of requests by those who are known. Writers ask the same of the same log all day long, so the texts of
 * the latest questions are kept: finding secrets, hashing and quoting anew would be half of what a line costs.
 */
export class RequestLines {
  readonly #questions = new LRUCache<string, string>({ max: MOST_QUESTIONS })

  /** A {@link RequestLine} as JSON, without the brace that begins it. */
  textOf(exchange: Exchange, caller: Caller): string {
    return `${this.#questionOf(exchange, caller)},${JSON.stringify(outcomeOf(exchange)).slice(1)}`
  }

  #questionOf(exchange: Exchange, caller: Caller): string {
    const { id: who } = caller
    const role = rolesOf(caller)
    const route = routeOf(exchange)
    const url = exchange.call.req.url ?? ''
    // A person may be called anything, and nothing else here can hold a space: read from its end, it has one meaning.
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

/** Of a request's target, this many characters are shown. */
const SHOWN_LENGTH = 512

/** A request's target without its secrets, and not too long. */
function shownTarget(url: string): string {
  return redact(url).slice(0, SHOWN_LENGTH)
}

/** The beginning of a text, of at most so many bytes as a string of JSON, its quotes left out. */
function within(text: string, bytes: number): string {
  let shown = text.slice(0, bytes)
  while (Buffer.byteLength(JSON.stringify(shown)) - 2 > bytes) shown = shown.slice(0, -1)
  return shown
}

function routeOf({ route, call }: Exchange): string {
  return `${call.req.method ?? ''} ${route.path}`
}

/** As it came: whoever is denied can have named any log. */
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
