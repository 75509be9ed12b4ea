import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose'
import { fetchDocument, isProviderUrl, unavailable, type FetchLimits } from './provider-fetch.ts'

/** Where an identity provider says which keys it signs with. */
export interface ProviderPlace {
  readonly issuer: string
  /** Of its keys; without one the provider is asked for it (OpenID Connect Discovery 1.0, section 4). */
  readonly jwksUrl?: string | undefined
}

/** Times in milliseconds. */
export interface ProviderTimes {
  /** After this long the keys are asked for again: one that was withdrawn is good for no longer. */
  readonly freshMs: number
  /** While the provider cannot be asked, the keys that it gave last are good for this long. */
  readonly staleMs: number
  /** Between two questions because of a key that nobody knows: anybody can make one up. */
  readonly unknownKeyMs: number
  /** After a failure nobody asks for this long. */
  readonly failureMs: number
}

export const PROVIDER_TIMES: ProviderTimes = {
  freshMs: 600_000,
  staleMs: 3_600_000,
  unknownKeyMs: 30_000,
  failureMs: 10_000,
}
/** A provider has a handful of keys of some hundred bytes each; some add certificates. */
export const PROVIDER_LIMITS: FetchLimits = { timeoutMs: 5000, maxBytes: 256 * 1024 }
const MOST_KEYS = 100

interface Held {
  readonly keyOf: JWTVerifyGetKey
  readonly atMs: number
}

export interface ProviderParts {
  readonly place: ProviderPlace
  /** Milliseconds that only go forward. */
  readonly nowMs: () => number
  readonly times?: ProviderTimes
  readonly limits?: FetchLimits
}

/** Owner of an identity provider's public keys: asked for when the first token comes, and as seldom as can be. */
export class ProviderKeys {
  readonly #place: ProviderPlace
  readonly #nowMs: () => number
  readonly #times: ProviderTimes
  readonly #limits: FetchLimits
  #held: Held | undefined
  #failed: { readonly error: unknown; readonly atMs: number } | undefined
  /** Everybody who needs the keys meanwhile waits for the one question. */
  #asking: Promise<Held> | undefined

  constructor({ place, nowMs, times = PROVIDER_TIMES, limits = PROVIDER_LIMITS }: ProviderParts) {
    this.#place = place
    this.#nowMs = nowMs
    this.#times = times
    this.#limits = limits
  }

  /**
   * The key that a token says it was signed with.
   *
   * @throws SteleError `identity_unavailable`; what `jose` throws where there is no such key
   */
  readonly keyOf: JWTVerifyGetKey = async (header, token) => {
    const held = await this.#current()
    try {
      return await held.keyOf(header, token)
    } catch (error) {
      const isYoung = this.#nowMs() - held.atMs < this.#times.unknownKeyMs
      if (!(error instanceof errors.JWKSNoMatchingKey) || isYoung) throw error
      // The provider may have changed its keys since.
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
    // Section 4.3: else a document of somebody else would say whose keys count.
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
