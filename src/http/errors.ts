import { STATUS_CODES } from 'node:http'
import { redact } from '../access/redact.ts'
import { type ErrorCode, SteleError } from '../errors.ts'
import type { Answer } from './answer.ts'
import { CORS_HEADERS, NO_STORE } from './headers.ts'
import type { ProblemDetails } from './schemas.ts'

/** The HTTP status of every error code. A new code does not compile until it has one. */
export const STATUS: Readonly<Record<ErrorCode, number>> = {
  malformed: 400,
  out_of_range: 400,
  not_found: 404,
  unauthenticated: 401,
  forbidden: 403,
  wrong_host: 421,
  method_not_allowed: 405,
  unsupported_media_type: 415,
  too_large: 413,
  too_slow: 408,
  usage: 400,
  already_exists: 409,
  rate_limited: 429,
  overloaded: 503,
  shutting_down: 503,
  frozen: 410,
  log_halted: 503,
  index_behind: 503,
  identity_unavailable: 503,
  untraceable: 503,
  outcome_unknown: 503,
  // A server answers the following codes only for faults of its own.
  bad_proof: 500,
  bad_signature: 500,
  untrusted_signer: 500,
  quorum_not_met: 500,
  wrong_origin: 500,
  fork: 500,
  unreachable: 500,
  unexpected_answer: 500,
  io_error: 500,
  not_initialised: 500,
  foreign_format: 500,
  locked: 500,
  key_missing: 500,
  key_permissions: 500,
  wrong_key: 500,
  corrupt: 500,
  rolled_back: 500,
  head_missing: 500,
  second_writer: 500,
  stale_size: 500,
  internal: 500,
}

/** Retry-After of a 429 or 503 whose error names no time. */
const RETRY_AFTER_SECONDS = 5

/** The tokens of RFC 9162 section 5 that fit the routes of RFC 6962. */
export type CtToken =
  | 'malformed'
  | 'firstUnknown'
  | 'secondUnknown'
  | 'secondBeforeFirst'
  | 'hashUnknown'
  | 'treeSizeUnknown'
  | 'startUnknown'
  | 'endBeforeStart'

/** An error of a `ct/v1` route that RFC 9162 has a token for. */
export class CtError extends SteleError {
  readonly token: CtToken

  constructor(code: ErrorCode, token: CtToken, message: string) {
    super(code, message)
    this.token = token
  }
}

/** Any thrown value as an error with a code. A value without one is a bug of this program: `internal`. */
export function asSteleError(error: unknown): SteleError {
  if (error instanceof SteleError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new SteleError('internal', message, { cause: error })
}

/**
 * Problem details (RFC 9457) for an error. The reason of a 500 goes to the server's log only, since it may name files.
 *
 * @param ct true on the routes of RFC 6962, whose problems have types
 * @param brief true for callers that may not learn details about the server
 */
export function problemOf(error: SteleError, ct = false, brief = false): ProblemDetails {
  const status = STATUS[error.code]
  const token =
    error instanceof CtError ? error.token : ct && error.code === 'malformed' ? 'malformed' : undefined
  return {
    type: token === undefined ? 'about:blank' : `urn:ietf:params:trans:error:${token}`,
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: (brief && status === 503 && BRIEF[error.code]) || detailOf(error, status),
    code: error.code,
    ...(error.successor === undefined ? {} : { successor: error.successor }),
  }
}

/** Messages for callers without a key, in place of those that hold sizes and URLs of the operator. */
const BRIEF: Partial<Record<ErrorCode, string>> = {
  log_halted: 'the log is not open, or takes no entries; the log of the server says why',
  overloaded: 'the server is overloaded; nothing was logged',
  index_behind: 'the leaf index of the log is being rebuilt; nothing was logged',
  untraceable: 'the meta log cannot be written, and the server answers no request that it cannot record',
  identity_unavailable: 'the keys of the identity provider cannot be fetched, so no token can be checked',
  outcome_unknown: 'the write may or may not be on disk; repeating it is safe',
}

function detailOf({ message }: SteleError, status: number): string {
  if (status === 500) return 'the server failed at this request; its log says why'
  // The caller's own text is repeated as it came. A message of the operating system may name files.
  return redact(status > 500 ? withoutPaths(message) : message)
}

/** The answer to a request that failed. */
export function problemAnswer(error: SteleError, ct = false, brief = false): Answer {
  const problem = problemOf(error, ct, brief)
  return {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      ...NO_STORE,
      ...CORS_HEADERS,
      ...retryAfter(error),
      ...challenge(error),
      ...successorOf(error),
    },
    body: JSON.stringify(problem),
    // A caller that is too slow for a body would also be too slow for draining it.
    ...(error.code === 'too_slow' ? { hangUp: true } : {}),
  }
}

/** RFC 5829: a link to the log that continues this one. The URL was checked when the log was frozen. */
function successorOf({ successor }: SteleError): { link?: string } {
  return successor === undefined ? {} : { link: `<${successor}>; rel="successor-version"` }
}

function retryAfter(error: SteleError): Readonly<Record<string, string>> {
  const status = STATUS[error.code]
  if (status !== 429 && status !== 503) return {}
  const seconds = String(error.retryAfterSeconds ?? RETRY_AFTER_SECONDS)
  if (error.limit === undefined) return { 'retry-after': seconds }
  // draft-ietf-httpapi-ratelimit-headers: the quota, what is left of it, and when it is renewed.
  return {
    'retry-after': seconds,
    'ratelimit-policy': `"requests";q=${error.limit}`,
    ratelimit: `"requests";r=0;t=${seconds}`,
  }
}

/** RFC 9110 section 11.6.1: a 401 says how to authenticate. */
function challenge({ code }: SteleError): Readonly<Record<string, string>> {
  return code === 'unauthenticated' ? { 'www-authenticate': 'Bearer realm="stele"' } : {}
}

/**
 * An absolute path: after the start, a space, a bracket or a quote, up to a character that ends it in our messages and
 * Node's.
 */
const PATH = /(^|[\s('"`=])(?:[A-Za-z]:[\\/]|\\\\|\/)(?=[^\s/])[^:;'"`\n]*/g

/**
 * A message for an answer, without the paths of this machine, which only the operator's log keeps. A path may hold
 * spaces, so it may remove a word too many.
 */
export function withoutPaths(message: string): string {
  return message.replace(PATH, '$1(a file of the log)')
}
