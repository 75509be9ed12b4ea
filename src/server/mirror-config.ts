import { z } from 'zod'
import { DEFAULT_MIRROR_LIMITS, type MirrorLimits } from '../http/mirror-limits.ts'
import {
  count,
  describeOptions,
  loadOptions,
  number,
  seconds,
  variableOf,
  type OptionSources,
} from './options.ts'

const PREFIX = 'STELE_MIRROR_'
const limits = DEFAULT_MIRROR_LIMITS

/** Every option of a mirror: the flag is `--name`, the variable `STELE_MIRROR_NAME` in capitals with underscores. */
const options = {
  data: z.string().min(1).default('mirror').describe('Mirror folder, as made by "stele mirror init".'),
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe('Address to listen on; loopback is for this machine only.'),
  port: number(z.int().min(0).max(65_535), 6966).describe('TCP port; 0 takes a free one.'),
  'poll-seconds': seconds(5000).describe(
    'How often a log that has a URL is asked for its checkpoint. While that fails the pauses double, up to 300.',
  ),
  'max-uploads': number(z.int().min(2).max(1000), limits.maxUploads).describe(
    'Uploads at once, each of up to 20 MB of memory; more get 503, one caller 429 at half of it.',
  ),
  'upload-grace-seconds': seconds(limits.uploadGraceMs).describe(
    'How long a sender may keep an upload waiting, beside the time that its bytes take at 16 kB a second.',
  ),
  'upload-timeout-seconds': seconds(limits.uploadTimeoutMs).describe(
    'An upload ends after this long. What came by then is kept.',
  ),
  'body-bytes': count(limits.maxBodyBytes).describe(
    'Bytes of one add-checkpoint; more get 413. A checkpoint with 16 post-quantum signatures needs about 60,000.',
  ),
  'requests-per-second': number(z.number().positive().max(1e6), limits.callerRequestsPerSecond).describe(
    'Submissions of one address, on average; more get 429. Behind a proxy all callers have its address.',
  ),
  'request-burst': count(limits.callerBurst).describe('How many of them may come at once.'),
  'body-timeout-seconds': seconds(limits.bodyTimeoutMs).describe(
    'The body of an add-checkpoint must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(limits.headersTimeoutMs).describe(
    'Request headers must be complete after this long.',
  ),
  'bodies-in-flight-bytes': count(limits.maxBodyBytesInFlight).describe(
    'Bytes of add-checkpoint bodies in memory at once; more get 503, one caller 429 at half of it.',
  ),
  'max-connections': count(limits.maxConnections).describe(
    'Open connections; further ones are closed at once.',
  ),
  'cache-bytes': count(16 * 1024 * 1024).describe('Memory of each log for tiles that are read again.'),
  'log-level': z
    .enum(['silent', 'error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('What the mirror writes about itself, as JSON lines on standard error.'),
} as const

const configSchema = z.strictObject(options)

/** A mirror's configuration: complete, checked, frozen. */
export type MirrorConfig = Readonly<z.infer<typeof configSchema>>
export type MirrorOption = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const mirrorOptions = describeOptions<MirrorOption>(options)

/** The environment variable of an option. */
export function mirrorVariable(name: MirrorOption): string {
  return variableOf(PREFIX, name)
}

/** Puts flags over environment, and checks the whole before anything is opened. Throws as `loadOptions`. */
export function loadMirrorConfig(sources: OptionSources): MirrorConfig {
  return loadOptions(PREFIX, configSchema, mirrorOptions, sources)
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
