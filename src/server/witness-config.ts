import { z } from 'zod'
import { DEFAULT_WITNESS_LIMITS, type WitnessLimits } from '../http/witness-limits.ts'
import {
  count,
  describeOptions,
  loadOptions,
  number,
  seconds,
  variableOf,
  type OptionSources,
} from './options.ts'

const PREFIX = 'STELE_WITNESS_'

const limits = DEFAULT_WITNESS_LIMITS

/** Every option of a witness: the flag is `--name`, the variable `STELE_WITNESS_NAME` in capitals with underscores. */
const options = {
  data: z.string().min(1).default('witness').describe('Witness folder, as made by "stele witness init".'),
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; loopback is for this machine only.'),
  port: number(z.int().min(0).max(65_535), 6964).describe('TCP port; 0 takes a free one.'),
  'body-bytes': count(limits.maxBodyBytes).describe(
    'Bytes of one request; more get 413. A checkpoint with 16 post-quantum signatures needs about 60,000.',
  ),
  'requests-per-second': number(z.number().positive().max(1e6), limits.callerRequestsPerSecond).describe(
    'Requests to sign of one address, on average; more get 429. Behind a proxy all callers have its address.',
  ),
  'request-burst': count(limits.callerBurst).describe('How many of them may come at once.'),
  'body-timeout-seconds': seconds(limits.bodyTimeoutMs).describe(
    'A request body must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(limits.headersTimeoutMs).describe(
    'Request headers must be complete after this long.',
  ),
  'bodies-in-flight-bytes': count(limits.maxBodyBytesInFlight).describe(
    'Bytes of request bodies in memory at once, over all requests; more get 503, one caller 429 at half of it.',
  ),
  'max-connections': count(limits.maxConnections).describe(
    'Open connections; further ones are closed at once.',
  ),
  'log-level': z
    .enum(['silent', 'error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('What the witness writes about itself, as JSON lines on standard error.'),
} as const

const configSchema = z.strictObject(options)

/** A witness's configuration: complete, checked, frozen. */
export type WitnessConfig = Readonly<z.infer<typeof configSchema>>
export type WitnessOption = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const witnessOptions = describeOptions<WitnessOption>(options)

/** The environment variable of an option. */
export function witnessVariable(name: WitnessOption): string {
  return variableOf(PREFIX, name)
}

/** Puts flags over environment, and checks the whole before anything is opened. Throws as `loadOptions`. */
export function loadWitnessConfig(sources: OptionSources): WitnessConfig {
  return loadOptions(PREFIX, configSchema, witnessOptions, sources)
}

/** What the HTTP layer is told of the configuration. */
export function witnessLimits(config: WitnessConfig): WitnessLimits {
  return {
    maxBodyBytes: config['body-bytes'],
    bodyTimeoutMs: config['body-timeout-seconds'] * 1000,
    headersTimeoutMs: config['headers-timeout-seconds'] * 1000,
    maxBodyBytesInFlight: config['bodies-in-flight-bytes'],
    maxConnections: config['max-connections'],
    callerRequestsPerSecond: config['requests-per-second'],
    callerBurst: config['request-burst'],
  }
}
