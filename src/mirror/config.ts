import { DEFAULT_MIRROR_LIMITS, type MirrorLimits } from './limits.ts'
import { cosignerLimits, cosignerOptions } from '../witness/cosigner-config.ts'
import { count, hostName, seconds, whole, words } from '../config/option-kinds.ts'
import { OptionTable, type OptionValues } from '../config/options.ts'

const MIB = 1024 * 1024
const limits = DEFAULT_MIRROR_LIMITS

/** Every option of a mirror: the flag is `--name`, the variable `STELE_MIRROR_NAME` in capitals with underscores. */
export const mirrorOptions = new OptionTable('STELE_MIRROR', {
  data: words('mirror').describe('Mirror folder, as made by "stele mirror init".'),
  host: hostName('127.0.0.1').describe('Address to listen on; loopback is for this machine only.'),
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
  'scrub-bytes-per-second': whole(4 * MIB, 0, 4096 * MIB).describe(
    'How fast each copy is read again in the background and compared with its tree; 0: never.',
  ),
  'cache-bytes': count(16 * 1024 * 1024).describe('Memory of each log for tiles that are read again.'),
  ...cosignerOptions,
})

/** A mirror's configuration: complete, checked, frozen. */
export type MirrorConfig = OptionValues<typeof mirrorOptions.shape>

/** What the HTTP layer is told of the configuration. */
export function mirrorLimits(config: MirrorConfig): MirrorLimits {
  return {
    ...cosignerLimits(config),
    maxUploads: config['max-uploads'],
    uploadGraceMs: config['upload-grace-seconds'] * 1000,
    uploadTimeoutMs: config['upload-timeout-seconds'] * 1000,
    bundleCacheBytes: limits.bundleCacheBytes,
  }
}
