import { DEFAULT_WITNESS_LIMITS, type WitnessLimits } from '../http/witness-limits.ts'
import { count, number, oneOf, seconds, whole, words } from './option-kinds.ts'
import { OptionTable, type OptionSources, type OptionValues } from './options.ts'
import { z } from 'zod'

const limits = DEFAULT_WITNESS_LIMITS

/** Every option of a witness: the flag is `--name`, the variable `STELE_WITNESS_NAME` in capitals with underscores. */
const options = {
  data: words('witness').describe('Witness folder, as made by "stele witness init".'),
  host: words('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6964, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  'body-bytes': count(limits.maxBodyBytes).describe(
    'Bytes of one request; more get 413. A checkpoint with 16 post-quantum signatures needs about 60,000.',
  ),
  'requests-per-second': number(
    z.number().positive().max(1e6),
    limits.callerRequestsPerSecond,
    'a number, more than 0 and at most 1000000',
  ).describe(
    'Requests to sign of one address, on average; more get 429. Behind a proxy all callers have its address.',
  ),
  'request-burst': count(limits.callerBurst).describe('How many of them may come at once.'),
  'body-timeout-seconds': seconds(limits.bodyTimeoutMs / 1000).describe(
    'A request body must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(limits.headersTimeoutMs / 1000).describe(
    'Request headers must be complete after this long.',
  ),
  'bodies-in-flight-bytes': count(limits.maxBodyBytesInFlight).describe(
    'Bytes of request bodies in memory at once, over all requests; more get 503, one caller 429 at half of it.',
  ),
  'max-connections': count(limits.maxConnections).describe(
    'Open connections; further ones are closed at once.',
  ),
  'log-level': oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info').describe(
    'What the witness writes about itself, as JSON lines on standard error.',
  ),
} as const

const table = new OptionTable('STELE_WITNESS', options)

/** A witness's configuration: complete, checked, frozen. */
export type WitnessConfig = OptionValues<typeof options>
export type WitnessOption = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const witnessOptions = table.list

/** The environment variable of an option. */
export function witnessVariable(name: WitnessOption): string {
  return table.variableOf(name)
}

/**
 * Puts flags over environment over file, and checks the whole before anything is opened.
 *
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote; `io_error`
 */
export function loadWitnessConfig(sources: OptionSources): WitnessConfig {
  return table.load(sources)
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
