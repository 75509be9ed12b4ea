import { createHash } from 'node:crypto'
import { errors, jwtVerify, type JWTVerifyGetKey, type JWTVerifyResult } from 'jose'
import { hasCode, SteleError } from '../errors.ts'
import type { Caller, Grant } from './caller.ts'

/** Signatures by a key that only the provider has. With a shared secret, this server could forge tokens. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** RFC 9068, and the types of ID tokens. A logout token has the same audience, but must not authenticate a caller. */
const TYPES = ['jwt', 'at+jwt', 'application/at+jwt']

/** The rules that a token must meet. */
interface TokenRules {
  readonly issuer: string
  readonly audience: string
  /** The claim that lists a person's groups. */
  readonly groupsClaim: string
  readonly grants: readonly GroupGrant[]
  /** Tolerance for the clocks of provider and server. */
  readonly leewaySeconds: number
}

interface TokenParts {
  readonly rules: TokenRules
  readonly keyOf: JWTVerifyGetKey
  /** The clock: milliseconds since 1970. */
  readonly nowMs: () => number
}

/** Authenticates people by tokens of an identity provider (RFC 7519, RFC 8725). */
export class PeopleTokens {
  readonly #parts: TokenParts

  constructor(parts: TokenParts) {
    this.#parts = parts
  }

  /**
   * Authenticates the person that a token is about.
   *
   * @throws SteleError `unauthenticated`; the message never quotes the token, and gives details only for a token that
   *   the provider signed. `identity_unavailable`
   */
  async authenticate(token: string, address: string): Promise<Caller> {
    const { rules } = this.#parts
    const { payload, protectedHeader } = await this.#verify(token)
    if (!TYPES.includes((protectedHeader.typ ?? 'jwt').toLowerCase())) {
      throw unauthenticated('its type is not accepted for authentication')
    }
    const id = personId(payload.sub)
    if (id === undefined) throw unauthenticated('its claim sub is not a valid subject')
    const groups = Object.hasOwn(payload, rules.groupsClaim) ? payload[rules.groupsClaim] : undefined
    // A subject may look like an address, so its share has a prefix.
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

/** Our own messages: those of the library may quote the token. */
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

/** The role that members of a group of the identity provider have. */
interface GroupGrant extends Grant {
  readonly group: string
}

/** Subjects that can be shown in a log line. Others are represented by their hash. */
const SHOWABLE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/
/** Names that this server uses for others: ids of API keys, actors on the host itself, hashes of subjects. */
const TAKEN = /^(?:[a-z2-7]{16}|init|start|host|access recover|sha256:.*)$/

/**
 * The id of a person on this server, in the meta log above all: the provider's subject, or `sha256:` and its hash in
 * hex if it is longer than 200 characters, not printable ASCII, or could be mistaken for another caller.
 *
 * @returns undefined if it is not a valid subject
 */
export function personId(subject: unknown): string | undefined {
  // A lone surrogate has no UTF-8 form: two such subjects would have the same hash.
  if (typeof subject !== 'string' || subject === '' || /\p{Surrogate}/u.test(subject)) return undefined
  if (SHOWABLE.test(subject) && !TAKEN.test(subject)) return subject
  return `sha256:${createHash('sha256').update(subject).digest('hex')}`
}

/**
 * The grants of a person's groups. A value that is not a list of strings grants nothing, and neither does a group
 * without a mapping: authentication alone gives no rights.
 *
 * @param groups the claim of the token
 */
export function grantsOf(groups: unknown, mapped: readonly GroupGrant[]): Grant[] {
  if (!Array.isArray(groups)) return []
  const member = new Set<unknown>(groups)
  return mapped.filter(({ group }) => member.has(group)).map(({ role, logs }) => ({ role, logs }))
}
