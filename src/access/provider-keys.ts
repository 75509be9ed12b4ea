import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose'
import { SteleError } from '../errors.ts'

/** Where an identity provider publishes its signing keys. */
interface ProviderPlace {
  readonly issuer: string
  /** URL of its keys; default: the one in the provider's metadata (OpenID Connect Discovery 1.0, section 4). */
  readonly jwksUrl?: string | undefined
}

/** Times in milliseconds. */
interface ProviderTimes {
  /** The keys are fetched again after this long, which bounds how long a withdrawn key is accepted. */
  readonly freshMs: number
  /** How long the last keys are used while the provider cannot be reached. */
  readonly staleMs: number
  /** Least time between two fetches because of an unknown key ID, since any caller can invent one. */
  readonly unknownKeyMs: number
  /** No fetch for this long after a failure. */
  readonly failureMs: number
}

export const PROVIDER_TIMES: ProviderTimes = {
  freshMs: 600_000,
  staleMs: 3_600_000,
  unknownKeyMs: 30_000,
  failureMs: 10_000,
}
/** A provider has a handful of keys of some hundred bytes each; some add certificates. */
const PROVIDER_LIMITS: FetchLimits = { timeoutMs: 5000, maxBytes: 256 * 1024 }
const MOST_KEYS = 100

interface Held {
  readonly keyOf: JWTVerifyGetKey
  readonly atMs: number
}

export interface ProviderParts {
  readonly place: ProviderPlace
  /** A monotonic clock in milliseconds. */
  readonly nowMs: () => number
  readonly times?: ProviderTimes
  readonly limits?: FetchLimits
}

/**
 * Owner of an identity provider's public keys. They are fetched when the first token arrives, and as seldom as
 * possible.
 */
export class ProviderKeys {
  readonly #place: ProviderPlace
  readonly #nowMs: () => number
  readonly #times: ProviderTimes
  readonly #limits: FetchLimits
  #held: Held | undefined
  #failed: { readonly error: unknown; readonly atMs: number } | undefined
  /** The fetch in progress, shared by all that need the keys meanwhile. */
  #asking: Promise<Held> | undefined

  constructor({ place, nowMs, times = PROVIDER_TIMES, limits = PROVIDER_LIMITS }: ProviderParts) {
    this.#place = place
    this.#nowMs = nowMs
    this.#times = times
    this.#limits = limits
  }

  /**
   * The key that a token names as its signer.
   *
   * @throws SteleError `identity_unavailable`; the error of `jose` if there is no such key
   */
  readonly keyOf: JWTVerifyGetKey = async (header, token) => {
    const held = await this.#current()
    try {
      return await held.keyOf(header, token)
    } catch (error) {
      const isYoung = this.#nowMs() - held.atMs < this.#times.unknownKeyMs
      if (!(error instanceof errors.JWKSNoMatchingKey) || isYoung) throw error
      // The provider may have changed its keys since the last fetch.
      const next = await this.#ask()
      return next.keyOf(header, token)
    }
  }

  async #current(): Promise<Held> {
    const held = this.#held
    const ageMs = held ? this.#nowMs() - held.atMs : Infinity
    if (held && ageMs < this.#times.freshMs) return held
    try {
      return await this.#ask()
    } catch (error) {
      if (held && ageMs < this.#times.staleMs) return held
      throw error
    }
  }

  async #ask(): Promise<Held> {
    const failed = this.#failed
    if (failed && this.#nowMs() - failed.atMs < this.#times.failureMs) throw failed.error
    this.#asking ??= this.#fetch().finally(() => (this.#asking = undefined))
    return this.#asking
  }

  async #fetch(): Promise<Held> {
    try {
      const url = this.#place.jwksUrl ?? (await this.#discover())
      const document = await fetchDocument(url, this.#limits)
      const held = { keyOf: keySetOf(document, url), atMs: this.#nowMs() }
      this.#held = held
      this.#failed = undefined
      return held
    } catch (error) {
      this.#failed = { error, atMs: this.#nowMs() }
      throw error
    }
  }

  async #discover(): Promise<string> {
    const { issuer } = this.#place
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const { issuer: named, jwks_uri: keys } = await fetchDocument(url, this.#limits)
    // Section 4.3: otherwise the metadata of another issuer could name the keys.
    if (named !== issuer) throw unavailable(url, `expected the issuer ${issuer}`)
    if (typeof keys === 'string' && isProviderUrl(keys)) return keys
    throw unavailable(url, 'expected a jwks_uri with https')
  }
}

function keySetOf(document: Record<string, unknown>, url: string): JWTVerifyGetKey {
  const { keys } = document
  if (!Array.isArray(keys) || keys.length > MOST_KEYS) {
    throw unavailable(url, `expected a list of at most ${MOST_KEYS} keys`)
  }
  try {
    return createLocalJWKSet({ keys: keys as JWK[] })
  } catch (error) {
    throw unavailable(url, 'expected a JSON Web Key Set (RFC 7517)', error)
  }
}

/** The most bytes of a provider's answer, and the longest time from the request to its last byte. */
interface FetchLimits {
  readonly timeoutMs: number
  readonly maxBytes: number
}

/**
 * Fetches a JSON document from an identity provider. Redirects are not followed: only the configuration decides where
 * keys come from.
 *
 * @throws SteleError `identity_unavailable`
 */
async function fetchDocument(url: string, limits: FetchLimits): Promise<Record<string, unknown>> {
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

/** The error for a provider that could not be reached, or that sent an invalid answer. */
function unavailable(url: string, reason: string, cause?: unknown): SteleError {
  return new SteleError('identity_unavailable', `identity provider: ${url}: ${reason}`, {
    cause,
    retryAfterSeconds: 10,
  })
}

/** True for an acceptable URL of a provider: https, or http on this machine. */
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
    // The parser's message would quote the body.
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>
  throw new Error('expected a JSON object')
}

/** The error of `fetch` is only "fetch failed"; its cause has the reason. */
function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error
  if (name === 'TimeoutError') return 'no whole answer in time'
  return cause instanceof Error && cause.message !== '' ? cause.message : message
}
