import { z } from 'zod'
import { isProviderUrl } from '../access/provider-keys.ts'

const url = z.string().max(1000).refine(isProviderUrl, 'expected an https URL; http only on loopback')

/** The identity provider whose tokens the server accepts, and the rights of its groups. */
export const identitySchema = z
  .strictObject({
    issuer: url.describe('The provider, exactly as in the claim iss of its tokens.'),
    audience: z
      .string()
      .min(1)
      .max(1000)
      .describe('The claim aud of tokens for this server; tokens with another audience are refused.'),
    'jwks-url': url
      .optional()
      .describe("URL of the provider's keys. Default: as in the discovery document of the issuer."),
    'groups-claim': z.string().min(1).max(200).default('groups').describe('The claim that lists the groups.'),
    grants: z
      .array(
        z.strictObject({
          group: z.string().min(1).max(1000),
          // The role provisioning is excluded: it belongs to one key, and an administrator of groups would otherwise
          // control it.
          role: z.enum(['writer', 'reader', 'auditor', 'monitor', 'admin', 'operator']),
          logs: z.union([z.literal('*'), z.array(z.string().min(1).max(63)).min(1).max(1000)]),
        }),
      )
      .min(1)
      .max(1000)
      .describe(
        "The rights of each group's members. A caller in none of the groups has the rights of a caller without a key.",
      ),
    'leeway-seconds': z
      .number()
      .min(0)
      .max(300)
      .default(30)
      .describe('The largest accepted difference between the clocks of provider and server.'),
  })
  .nullable()
  .default(null)
  .describe('Sign-in with tokens of an OpenID Connect provider. Null: API keys only.')

export type IdentityConfig = z.output<typeof identitySchema>
