import { ProviderKeys } from '../access/provider-keys.ts'
import { PeopleTokens } from '../access/tokens.ts'
import type { TokenReader } from '../http/gate.ts'
import type { IdentityConfig } from '../config/identity-config.ts'

/** The verifier of OIDC tokens as configured; undefined without an identity provider. */
export function tokenReader(identity: IdentityConfig): TokenReader | undefined {
  if (!identity) return undefined
  const { issuer, audience, grants } = identity
  const place = { issuer, jwksUrl: identity['jwks-url'] }
  const keys = new ProviderKeys({ place, nowMs: () => performance.now() })
  const rules = {
    issuer,
    audience,
    grants,
    groupsClaim: identity['groups-claim'],
    leewaySeconds: identity['leeway-seconds'],
  }
  return new PeopleTokens({ rules, keyOf: keys.keyOf, nowMs: Date.now })
}
