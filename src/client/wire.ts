import { concatBytes } from '../bytes/bytes.ts'
import { reasonOf } from './clock.ts'

/** One request as it goes out, and how much of its answer is wanted. */
export interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | undefined
  /** Passes by every cache on the way. */
  readonly fresh: boolean
  /** Whether the platform is to follow redirections by itself; else one is the answer. Default: no. */
  readonly follow?: boolean
  /** Ends the request, in any phase. */
  readonly signal: AbortSignal
  /** The most bytes of a body that are read, by status; what lies beyond is cut off and never asked for. */
  readonly limit: (status: number) => number
}

/** What came back: the body as it was before any content encoding, up to the limit. */
export interface Received {
  readonly status: number
  /**
   * Set for a redirection that was not followed: `shown` with its status and headers, `hidden` where the platform, a
   * browser, shows nothing of it.
   */
  readonly redirects?: 'shown' | 'hidden'
  readonly headers: Headers
  readonly body: Uint8Array
}

/** True for a status that says that the answer is elsewhere. */
export function isRedirection(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

/**
 * Sends one request and reads its answer.
 *
 * @throws the signal's reason or another error once it is aborted; SteleError `unexpected_answer` for what cannot be
 *   decoded within the limit; any other error if no whole answer came
 */
export type Wire = (url: string, request: Outgoing) => Promise<Received>

/** The platform's `fetch`, or one that stands for it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

/** What every platform has. */
export function fetchWire(fetch: Fetch): Wire {
  return async (url, { method, headers, body, fresh, follow = false, signal, limit }) => {
    const response = await orAborted(
      signal,
      fetch(url, {
        method,
        headers,
        body: body ?? null,
        ...(fresh ? { cache: 'no-store' } : {}),
        ...(follow ? {} : { redirect: 'manual' }),
        signal,
      }),
    )
    const { status, type, headers: received } = response
    const answer = { status, headers: received, body: await readUpTo(response, limit(status), signal) }
    if (follow) return answer
    if (type === 'opaqueredirect') return { ...answer, redirects: 'hidden' }
    return isRedirection(status) ? { ...answer, redirects: 'shown' } : answer
  }
}

/** At most `limit` bytes of a body; what lies beyond is never asked for. */
async function readUpTo(response: Response, limit: number, signal: AbortSignal): Promise<Uint8Array> {
  const body: ReadableStream<Uint8Array> | null = response.body
  if (!body) return new Uint8Array(0)
  const reader = body.getReader()
  const parts: Uint8Array[] = []
  let length = 0
  try {
    while (length < limit) {
      const { done, value } = await orAborted(signal, reader.read())
      if (done) return concatBytes(...parts)
      parts.push(value)
      length += value.length
    }
  } finally {
    // Frees the connection if bytes are left over; after the end it does nothing. Not awaited, since a server that
    // hangs could delay it.
    reader.cancel().catch(() => undefined)
  }
  return concatBytes(...parts).subarray(0, limit)
}

/** A `fetch` that does not heed its signal must not keep the caller waiting either. */
export function orAborted<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(reasonOf(signal))
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
