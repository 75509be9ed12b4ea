import { z } from 'zod'
import { readApiKeyFile } from '../access/api-key-file.ts'
import { anyText, count, hostName, number, oneOf, seconds, whole, words } from '../config/option-kinds.ts'
import { OptionTable, type OptionValues } from '../config/options.ts'
import { SteleError } from '../errors.ts'
import type { FollowedList } from './log-keeper.ts'
import { DEFAULT_WITNESS_LIMITS, type WitnessLimits } from './routes.ts'

const limits = DEFAULT_WITNESS_LIMITS

/** Options that witnesses and mirrors share: limits for callers, shutdown, logging. */
export const cosignerOptions = {
  'body-bytes': count(limits.maxBodyBytes).describe(
    'Bytes of one request with a checkpoint; more get 413. One with 16 post-quantum signatures needs about 60,000.',
  ),
  'requests-per-second': number(
    z.number().positive().max(1e6),
    limits.callerRequestsPerSecond,
    'a number, more than 0 and at most 1000000',
  ).describe(
    'Submissions of one address, on average; more get 429. Behind a proxy all callers have its address.',
  ),
  'request-burst': count(limits.callerBurst).describe('How many of them may come at once.'),
  'body-timeout-seconds': seconds(limits.bodyTimeoutMs / 1000).describe(
    'A request with a checkpoint must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(limits.headersTimeoutMs / 1000).describe(
    'Request headers must be complete after this long.',
  ),
  'bodies-in-flight-bytes': count(limits.maxBodyBytesInFlight).describe(
    'Bytes of such requests in memory at once, over all callers; more get 503, one caller 429 at half of it.',
  ),
  'max-connections': count(limits.maxConnections).describe(
    'Open connections; further ones are closed at once. A tenth, at most 64, is for probes and loopback.',
  ),
  'max-connections-per-address': whole(0, 0, 10_000_000).describe(
    'Open connections of one address, or IPv6 /64; loopback may have more. 0: a quarter of max-connections.',
  ),
  'answer-timeout-seconds': seconds(limits.answerTimeoutMs / 1000).describe(
    'A client that takes nothing more of an answer for this long, of a large one 64 KiB, is cut off.',
  ),
  'answers-in-flight-bytes': whole(limits.maxAnswerBytesInFlight, 16 * 1024 ** 2, 2 ** 32).describe(
    'Bytes of large answers in memory at once; more get 503, and one address, or IPv6 /64, at a quarter of it.',
  ),
  'log-list': anyText('').describe(
    'A published list of logs to follow, beside logs.json: a file, or an https:// URL. Empty: none.',
  ),
  'log-list-seconds': seconds(3600).describe('How often that list is read again.'),
  'admin-token-file': anyText('').describe(
    'File of mode 600 with a token; with it the logs can be listed, added and dropped over HTTP. Empty: they cannot.',
  ),
  'stop-timeout-seconds': seconds(25).describe(
    'A stop ends the process after this long at the latest. What was cosigned is on disk in any case.',
  ),
  'log-level': oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info').describe(
    'What it writes about itself, as JSON lines on standard error.',
  ),
} as const

/** The limits of the HTTP layer, from the options. */
export function cosignerLimits(config: OptionValues<typeof cosignerOptions>): WitnessLimits {
  return {
    maxBodyBytes: config['body-bytes'],
    bodyTimeoutMs: config['body-timeout-seconds'] * 1000,
    headersTimeoutMs: config['headers-timeout-seconds'] * 1000,
    maxBodyBytesInFlight: config['bodies-in-flight-bytes'],
    maxConnections: config['max-connections'],
    maxConnectionsPerAddress: config['max-connections-per-address'],
    answerTimeoutMs: config['answer-timeout-seconds'] * 1000,
    maxAnswerBytesInFlight: config['answers-in-flight-bytes'],
    callerRequestsPerSecond: config['requests-per-second'],
    callerBurst: config['request-burst'],
  }
}

/** The published list that is to be followed, if there is one. */
export function followedList(config: OptionValues<typeof cosignerOptions>): FollowedList | undefined {
  const source = config['log-list']
  return source === '' ? undefined : { source, everyMs: config['log-list-seconds'] * 1000 }
}

/** 128 bits as hex or base64. A shorter token could be guessed. */
const LEAST_CHARACTERS = 22

/**
 * The token for requests that change the logs; undefined if none is configured, and then such requests are refused.
 *
 * @throws SteleError `key_permissions`, `io_error`; `usage` if it is not a token, or is too short
 */
export async function readAdminToken(
  config: OptionValues<typeof cosignerOptions>,
): Promise<string | undefined> {
  const path = config['admin-token-file']
  if (path === '') return undefined
  const token = await readApiKeyFile(path)
  if (token.length >= LEAST_CHARACTERS) return token
  throw new SteleError('usage', `${path}: expected a token of at least ${LEAST_CHARACTERS} random characters`)
}

/** Every option of a witness: the flag is `--name`, the variable `STELE_WITNESS_NAME` in capitals with underscores. */
export const witnessOptions = new OptionTable('STELE_WITNESS', {
  data: words('witness').describe('Witness folder, as made by "stele witness init".'),
  host: hostName('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6964, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  ...cosignerOptions,
})

/** A witness's configuration: complete, checked, frozen. */
export type WitnessConfig = OptionValues<typeof witnessOptions.shape>
