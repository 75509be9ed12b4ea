import { createHash } from 'node:crypto'
import { errors, jwtVerify, type JWTVerifyGetKey, type JWTVerifyResult } from 'jose'
import { hasCode, SteleError } from '../errors.ts'
import type { Caller, Grant } from './caller.ts'

/** Signatures by a key that the provider alone has: what is made with a shared secret anybody here could make. */
const ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** RFC 9068, and what ID tokens say or leave out. A logout token is for the same audience and lets nobody in. */
const TYPES = ['jwt', 'at+jwt', 'application/at+jwt']

/** What is expected of a token. */
interface TokenRules {
  readonly issuer: string
  readonly audience: string
  /** The claim that lists a person's groups. */
  readonly groupsClaim: string
  readonly grants: readonly GroupGrant[]
  /** How far the clocks of provider and server may be apart. */
  readonly leewaySeconds: number
}

interface TokenParts {
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

/** What the members of a group of the identity provider may do. */
interface GroupGrant extends Grant {
  readonly group: string
}

/** Longer subjects, and such as a line of a log could not show, stand under their hash. */
const SHOWABLE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/
/** What this server calls others by: ids of API keys, what changes keys at the machine itself, hashes of subjects. */
const TAKEN = /^(?:[a-z2-7]{16}|init|start|host|access recover|sha256:.*)$/

/**
 * How a person is called here, in the meta log above all: the provider's subject as it is, or `sha256:` and the hash of
 * it in hex where it is longer than 200 characters, not printable ASCII, or could be taken for somebody else.
 *
 * @returns undefined for what is no subject
 */
export function personId(subject: unknown): string | undefined {
  // Half a surrogate pair has no UTF-8: two such subjects would have one hash.
  if (typeof subject !== 'string' || subject === '' || /\p{Surrogate}/u.test(subject)) return undefined
  if (SHOWABLE.test(subject) && !TAKEN.test(subject)) return subject
  return `sha256:${createHash('sha256').update(subject).digest('hex')}`
}

/**
 * What groups give. What is no list of texts gives nothing, and so does a group that nobody mapped: to be known is no
 * right by itself.
 *
 * @param groups as a token claims them
 */
export function grantsOf(groups: unknown, mapped: readonly GroupGrant[]): Grant[] {
  if (!Array.isArray(groups)) return []
  const member = new Set<unknown>(groups)
  return mapped.filter(({ group }) => member.has(group)).map(({ role, logs }) => ({ role, logs }))
}
