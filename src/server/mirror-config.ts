import { z } from 'zod'
import { DEFAULT_MIRROR_LIMITS, type MirrorLimits } from '../http/mirror-limits.ts'
import { count, number, oneOf, seconds, whole, words } from './option-kinds.ts'
import { OptionTable, type OptionSources, type OptionValues } from './options.ts'

const limits = DEFAULT_MIRROR_LIMITS

/** Every option of a mirror: the flag is `--name`, the variable `STELE_MIRROR_NAME` in capitals with underscores. */
const options = {
  data: words('mirror').describe('Mirror folder, as made by "stele mirror init".'),
  host: words('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
  port: whole(6966, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  'poll-seconds': seconds(5).describe(
    'How often a log that has a URL is asked for its checkpoint. While that fails the pauses double, up to 300.',
  ),
  'max-uploads': whole(limits.maxUploads, 2, 1000).describe(
    'Uploads at once, each of up to 20 MB of memory; more get 503, one caller 429 at half of it.',
  ),
  'upload-grace-seconds': seconds(limits.uploadGraceMs / 1000).describe(
    'How long a sender may keep an upload waiting, beside the time that its bytes take at 16 kB a second.',
  ),
  'upload-timeout-seconds': seconds(limits.uploadTimeoutMs / 1000).describe(
    'An upload ends after this long. What came by then is kept.',
  ),
  'body-bytes': count(limits.maxBodyBytes).describe(
    'Bytes of one add-checkpoint; more get 413. A checkpoint with 16 post-quantum signatures needs about 60,000.',
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
    'The body of an add-checkpoint must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(limits.headersTimeoutMs / 1000).describe(
    'Request headers must be complete after this long.',
  ),
  'bodies-in-flight-bytes': count(limits.maxBodyBytesInFlight).describe(
    'Bytes of add-checkpoint bodies in memory at once; more get 503, one caller 429 at half of it.',
  ),
  'max-connections': count(limits.maxConnections).describe(
    'Open connections; further ones are closed at once.',
  ),
  'cache-bytes': count(16 * 1024 * 1024).describe('Memory of each log for tiles that are read again.'),
  'stop-timeout-seconds': seconds(25).describe(
    'A stop ends the process after this long at the latest. What was cosigned is on disk in any case.',
  ),
  'log-level': oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info').describe(
    'What the mirror writes about itself, as JSON lines on standard error.',
  ),
} as const

const table = new OptionTable('STELE_MIRROR', options)

/** A mirror's configuration: complete, checked, frozen. */
export type MirrorConfig = OptionValues<typeof options>
export type MirrorOption = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const mirrorOptions = table.list

/** The environment variable of an option. */
export function mirrorVariable(name: MirrorOption): string {
  return table.variableOf(name)
}

/**
 * Puts flags over environment over file, and checks the whole before anything is opened.
 *
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote; `io_error`
 */
export function loadMirrorConfig(sources: OptionSources): MirrorConfig {
  return table.load(sources)
}

/** What the HTTP layer is told of the configuration. */
export function mirrorLimits(config: MirrorConfig): MirrorLimits {
  return {
    maxBodyBytes: config['body-bytes'],
    bodyTimeoutMs: config['body-timeout-seconds'] * 1000,
    headersTimeoutMs: config['headers-timeout-seconds'] * 1000,
    maxBodyBytesInFlight: config['bodies-in-flight-bytes'],
    maxConnections: config['max-connections'],
    callerRequestsPerSecond: config['requests-per-second'],
    callerBurst: config['request-burst'],
    maxUploads: config['max-uploads'],
    uploadGraceMs: config['upload-grace-seconds'] * 1000,
    uploadTimeoutMs: config['upload-timeout-seconds'] * 1000,
    bundleCacheBytes: limits.bundleCacheBytes,
  }
}
