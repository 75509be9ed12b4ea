import { errors, jwtVerify, type JWTVerifyGetKey, type JWTVerifyResult } from 'jose'
import { hasCode, SteleError } from '../errors.ts'
import type { Caller } from './caller.ts'
import { grantsOf, personId, type GroupGrant } from './person.ts'

/** Signatures by a key that the provider alone has: what is made with a shared secret anybody here could make. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** RFC 9068, and what ID tokens say or leave out. A logout token is for the same audience and lets nobody in. */
const TYPES = ['jwt', 'at+jwt', 'application/at+jwt']

/** What is expected of a token. */
export interface TokenRules {
  readonly issuer: string
  readonly audience: string
  /** The claim that lists a person's groups. */
  readonly groupsClaim: string
  readonly grants: readonly GroupGrant[]
  /** How far the clocks of provider and server may be apart. */
  readonly leewaySeconds: number
}

export interface TokenParts {
  readonly rules: TokenRules
  readonly keyOf: JWTVerifyGetKey
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
}

/** Reads the tokens of people whom an identity provider has authenticated (RFC 7519, RFC 8725). */
export class PeopleTokens {
  readonly #parts: TokenParts

  constructor(parts: TokenParts) {
    this.#parts = parts
  }

  /**
   * Who a token is about.
   *
   * @throws SteleError `unauthenticated`; the message never quotes the token, and says more than that it is not good
   *   only of one that the provider signed. `identity_unavailable`
   */
  async authenticate(token: string, address: string): Promise<Caller> {
    const { rules } = this.#parts
    const { payload, protectedHeader } = await this.#verify(token)
    if (!TYPES.includes((protectedHeader.typ ?? 'jwt').toLowerCase())) {
      throw unauthenticated('its type is not that of a token that lets anybody in')
    }
    const id = personId(payload.sub)
    if (id === undefined) throw unauthenticated('its claim sub names nobody')
    const groups = Object.hasOwn(payload, rules.groupsClaim) ? payload[rules.groupsClaim] : undefined
    // A subject may look like an address, whose share is not to be taken.
    return { kind: 'person', id, grants: grantsOf(groups, rules.grants), address, share: `person:${id}` }
  }

  async #verify(token: string): Promise<JWTVerifyResult> {
    const { rules, keyOf, nowMs } = this.#parts
    try {
      return await jwtVerify(token, keyOf, {
        algorithms: ALGORITHMS,
        issuer: rules.issuer,
        audience: rules.audience,
        clockTolerance: rules.leewaySeconds,
        requiredClaims: ['exp', 'sub'],
        currentDate: new Date(nowMs()),
      })
    } catch (error) {
      if (hasCode(error, 'identity_unavailable')) throw error
      throw unauthenticated(whatIsWrong(error))
    }
  }
}

/** In our own words: those of others may quote what came. */
function whatIsWrong(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    const claim = ['iss', 'aud', 'sub', 'exp', 'nbf'].find((name) => name === error.claim)
    if (claim !== undefined)
      return `its claim ${claim} is ${error.reason === 'missing' ? 'missing' : 'not good here'}`
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return `its algorithm is none of ${ALGORITHMS.join(', ')}`
  if (error instanceof errors.JWKSNoMatchingKey) return 'the identity provider has no such key'
  return 'expected a JSON Web Token that the identity provider has signed'
}

function unauthenticated(what: string): SteleError {
  return new SteleError('unauthenticated', `token: ${what}`)
}
