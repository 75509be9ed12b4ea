import { excerpt } from '../bytes/excerpt.ts'
import { SteleError, type ErrorCode } from '../errors.ts'

// The codes that a log may report about itself. The other codes are findings of a verifier (`fork`, `bad_proof`) or
// concern this program (`internal`), so an answer of a server must not be able to produce them.
const SPOKEN: readonly ErrorCode[] = [
  'malformed',
  'out_of_range',
  'not_found',
  'unauthenticated',
  'forbidden',
  'wrong_host',
  'method_not_allowed',
  'unsupported_media_type',
  'too_large',
  'too_slow',
  'rate_limited',
  'overloaded',
  'shutting_down',
  'frozen',
  'log_halted',
  'index_behind',
  'untraceable',
  'outcome_unknown',
]

// Codes for a status without a code: from a static host, or from a proxy in front of the log. A 503 without the log's
// own code does not promise that nothing was logged, so it is not `overloaded`.
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: 'unauthenticated',
  404: 'not_found',
  410: 'not_found',
  413: 'too_large',
  415: 'unsupported_media_type',
  429: 'rate_limited',
  502: 'unreachable',
  503: 'unreachable',
  504: 'unreachable',
}

/** Replaces credentials in messages. */
export const HIDDEN = '(credentials)'

/**
 * An answer that is not what was asked for, as the failure it stands for.
 *
 * @param where begins the message
 * @param body the text of the answer; a problem document (RFC 9457) with a `code` is believed about the log itself
 * @param nowMs for `Retry-After` given as a date
 * @param secret what the request carried: a server that repeats it must not bring it into logs and findings
 */
export function problemOf(
  where: string,
  status: number,
  headers: Headers,
  body: string,
  nowMs: number,
  secret?: string,
): SteleError {
  const hide = (text: string): string => (secret ? text.replaceAll(secret, HIDDEN) : text)
  const problem = isProblem(headers) ? parseObject(body) : {}
  const said = SPOKEN.find((spoken) => spoken === problem['code'])
  // Static hosts answer 403 for missing files. Only for a request with credentials does it mean that these do not
  // suffice.
  const meant = status === 403 && secret !== undefined ? 'forbidden' : BY_STATUS[status]
  const code = said ?? meant ?? 'unexpected_answer'
  const detail = [problem['detail'], problem['title']].find((text) => typeof text === 'string')
  const retryAfterSeconds = parseRetryAfter(headers.get('retry-after'), nowMs)
  const next = code === 'frozen' ? successorOf(problem) : undefined
  const successor = next !== undefined && hide(next) === next ? next : undefined
  return new SteleError(
    code,
    `${where}: status ${status}${detail === undefined ? '' : `: ${shortened(hide(detail))}`}`,
    { ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }), successor },
  )
}

/**
 * `Retry-After` (RFC 9110 section 10.2.3), in seconds from now.
 *
 * @returns undefined for none, or one that cannot be read
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined
  if (/^[0-9]{1,9}$/.test(value)) return Number(value)
  // Date.parse reads much else, "-5" for example; an HTTP date begins with the name of a day.
  const atMs = /^[A-Z][a-z]+,? /.test(value) ? Date.parse(value) : Number.NaN
  return Number.isNaN(atMs) ? undefined : Math.max(0, (atMs - nowMs) / 1000)
}

/** Accepts only what may be a URL. The caller decides whether to trust the log behind it. */
function successorOf({ successor }: Readonly<Record<string, unknown>>): string | undefined {
  const isUrl = typeof successor === 'string' && successor.length <= 2000 && /^https?:\/\//.test(successor)
  return isUrl && URL.canParse(successor) ? successor : undefined
}

function isProblem(headers: Headers): boolean {
  return /^application\/problem\+json\b/i.test(headers.get('content-type') ?? '')
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    // A broken problem document says no more than its status does.
    return {}
  }
}

// A server's sentence is shown, since it says what to do; but neither at any length nor with control characters.
function shortened(detail: string): string {
  return detail.length <= 300 && !/\p{Cc}/u.test(detail) ? detail : excerpt(detail)
}
