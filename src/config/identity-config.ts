import { z } from 'zod'
import { isProviderUrl } from '../access/provider-keys.ts'

const url = z.string().max(1000).refine(isProviderUrl, 'expected an https URL; http only on loopback')

/** How people are known: the identity provider whose tokens are believed, and what its groups may do. */
export const identitySchema = z
  .strictObject({
    issuer: url.describe('The provider, exactly as it writes itself into the claim iss of its tokens.'),
    audience: z
      .string()
      .min(1)
      .max(1000)
      .describe('What its tokens for this server have in their claim aud; those for others are refused.'),
    'jwks-url': url
      .optional()
      .describe('Where its keys are; by default the discovery document of the issuer says that.'),
    'groups-claim': z.string().min(1).max(200).default('groups').describe('The claim that lists the groups.'),
    grants: z
      .array(
        z.strictObject({
          group: z.string().min(1).max(1000),
          // Not the role provisioning: that is one key, and whoever administers groups would be above it.
          role: z.enum(['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator']),
          logs: z.union([z.literal('*'), z.array(z.string().min(1).max(63)).min(1).max(1000)]),
        }),
      )
      .min(1)
      .max(1000)
      .describe('What the members of a group may do; whoever is in none of them may do what anybody may.'),
    'leeway-seconds': z
      .number()
      .min(0)
      .max(300)
      .default(30)
      .describe('How far the clocks of provider and server may be apart.'),
  })
  .nullable()
  .default(null)
  .describe('People, with the tokens of an OpenID Connect provider. Null: API keys only.')

export type IdentityConfig = z.output<typeof identitySchema>
