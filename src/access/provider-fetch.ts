import { SteleError } from '../errors.ts'

/** How much is read of a provider's answer, and how long it may take from the question to its last byte. */
export interface FetchLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

/**
 * Asks an identity provider for a JSON document. Redirects are not followed: where the keys come from is for the
 * configuration to say.
 *
 * @throws SteleError `identity_unavailable`
 */
export async function fetchDocument(url: string, limits: FetchLimits): Promise<Record<string, unknown>> {
  const signal = AbortSignal.timeout(limits.timeoutMs)
  try {
    const answer = await fetch(url, { signal, redirect: 'error', headers: { accept: 'application/json' } })
    if (answer.status !== 200) {
      await answer.body?.cancel()
      throw new Error(`expected status 200, got ${answer.status}`)
    }
    return asObject(await textOf(answer, limits.maxBytes))
  } catch (error) {
    throw unavailable(url, reasonOf(error), error)
  }
}

/** Says that a provider could not be asked, or did not answer with what it should. */
export function unavailable(url: string, reason: string, cause?: unknown): SteleError {
  return new SteleError('identity_unavailable', `identity provider: ${url}: ${reason}`, {
    cause,
    retryAfterSeconds: 10,
  })
}

/** True for a URL that a provider can be asked at: https, or http on this very machine. */
export function isProviderUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  if (username !== '' || password !== '') return false
  return (
    protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname))
  )
}

async function textOf({ body }: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop by an error cancels the rest of the body.
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > maxBytes) throw new Error(`expected at most ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function asObject(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Its message would quote what came.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new Error('expected a JSON object')
}

/** What `fetch` says is "fetch failed"; why is one below. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error
  if (name === 'TimeoutError') return 'no whole answer in time'
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
