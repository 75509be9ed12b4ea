import { isLoopbackName, parseAddressSet } from '../access/address.ts'
import { identitySchema } from './identity-config.ts'
import {
  anyText,
  bytes,
  count,
  flag,
  hostName,
  oneOf,
  seconds,
  section,
  whole,
  words,
} from './option-kinds.ts'
import { OptionTable, type OptionSources, type OptionValues, type Resolved } from './options.ts'
import { originPrefix } from './public-url.ts'

const MIB = 1024 * 1024

/**
 * Every option of the server, under the name that the file uses; the flag is `--name`, the variable `STELE_NAME` in
 * capitals with underscores. `proto-docs/configuration.md` is checked against this table.
 */
const options = {
  data: words('data').describe('Data folder, as made by "stele init".'),
  host: hostName('127.0.0.1').describe(
    'Address to listen on. Anything but loopback is reachable by others, and takes tls-cert or insecure-http.',
  ),
  port: whole(6962, 0, 65_535).describe('TCP port; 0 takes a free one.'),
  'insecure-http': flag(false).describe(
    'Listen without TLS though the host is not loopback: where TLS ends at a proxy in front. Else keys and entries are read on the way.',
  ),
  'public-url': anyText('').describe(
    'Where others reach this server; the origins of new logs are made of it. A server on loopback answers requests for this host, localhost and the hosts of its origins alone. Default: what "stele init" was given.',
  ),
  'tls-cert': anyText('').describe(
    'Certificate in PEM, its chain behind it. With it and tls-key the server speaks TLS; SIGHUP reads both files again.',
  ),
  'tls-key': anyText('').describe(
    "The certificate's private key in PEM, not encrypted; a file that others than its owner can read is refused.",
  ),
  'head-interval-seconds': seconds(300).describe(
    'An idle log re-signs its head after this long. Longer: monitors learn later that a log is dead.',
  ),
  'stale-head-seconds': seconds(900).describe(
    'readyz fails for a log whose head is older. Must exceed head-interval-seconds.',
  ),
  'max-head-ahead-seconds': whole(300, 0, 3_153_600_000).describe(
    'A log whose newest head is dated this far ahead of the clock, and of its witnesses, signs nothing and takes no entries until then. The meta log goes on.',
  ),
  'queue-entries': count(65_536).describe('Entries of one log that may wait for an index; more get 503.'),
  'queue-bytes': bytes(64 * MIB).describe(
    'Bytes of one log that may wait, 512 added for each entry; more get 503, and one caller gets 429 at half of it.',
  ),
  'commit-entries': count(8192).describe('Entries of one commit. More: higher throughput, longer commits.'),
  'commit-bytes': bytes(8 * MIB).describe('Bytes of one commit, likewise.'),
  'batch-entries': count(10_000).describe('Entries of one batch request; more get 413.'),
  'batch-bytes': bytes(16 * MIB).describe('Bytes of one batch request; more get 413.'),
  'body-timeout-seconds': seconds(30).describe(
    'A request body must be complete after this long, or gets 408.',
  ),
  'headers-timeout-seconds': seconds(10).describe('Request headers must be complete after this long.'),
  'bodies-in-flight-bytes': bytes(128 * MIB).describe(
    'Bytes of request bodies in memory at once, over all requests; more get 503.',
  ),
  'max-connections': count(10_000).describe(
    'Open connections; further ones are closed at once. A tenth, at most 64, is for probes and loopback.',
  ),
  'max-connections-per-address': whole(0, 0, 10_000_000).describe(
    'Open connections of one address, or IPv6 /64; loopback and trusted-proxies may have more. 0: a quarter of max-connections.',
  ),
  'max-long-polls': whole(0, 0, 10_000_000).describe(
    'Requests that wait for a newer checkpoint; more get 503. 0: half of max-connections.',
  ),
  'max-long-polls-per-address': whole(0, 0, 10_000_000).describe(
    'Those of one address, or IPv6 /64, behind trusted-proxies of the client; more get 503. 0: an eighth of max-connections.',
  ),
  'answer-timeout-seconds': seconds(30).describe(
    'A client that takes nothing more of an answer for this long, of a large one 64 KiB, is cut off.',
  ),
  'answers-in-flight-bytes': whole(128 * MIB, 16 * MIB, 4096 * MIB).describe(
    'Bytes of large answers in memory at once; more get 503, and one address, or IPv6 /64, at a quarter of it.',
  ),
  'stop-timeout-seconds': seconds(25).describe(
    'A stop ends the process after this long at the latest. What was acknowledged is on disk in any case.',
  ),
  'cache-bytes': bytes(64 * MIB).describe('Memory of each log for tiles that proofs read again and again.'),
  'witness-timeout-seconds': seconds(5).describe(
    'A witness has this long to answer. Longer: one that hangs delays publishing, if the quorum needs it.',
  ),
  'publish-without-quorum': flag(false).describe(
    'Publish heads though too few witnesses cosigned them, for logs that have a policy. Verifiers with a policy refuse them.',
  ),
  open: flag(false).describe(
    'Anybody may append and read metrics without a key. Only with a loopback host: for trying things out.',
  ),
  'open-metrics': flag(false).describe(
    'Anybody may read metrics; otherwise they take a key of the role operator.',
  ),
  'trusted-proxies': anyText('').describe(
    'Addresses and networks, with commas between them, of proxies whose X-Forwarded-For is believed. Too wide: callers make up their address.',
  ),
  'address-requests-per-second': whole(0, 0, 1_000_000).describe(
    'Requests that one address may send without a key; more get 429. 0: any number.',
  ),
  'key-requests-per-second': whole(0, 0, 1_000_000).describe(
    'Requests that one key may send, unless the key itself says otherwise; more get 429. 0: any number.',
  ),
  'max-key-days': whole(0, 0, 36_500).describe(
    'The longest that a new API key may be valid, in days; one that asks for more is refused. 0: any time. Older keys stay as they are.',
  ),
  identity: section(identitySchema),
  'scrub-bytes-per-second': whole(4 * MIB, 0, 4096 * MIB).describe(
    'Each log is read again and compared with its signed head at this rate; 0 switches it off, and then nothing finds rot before a reader does.',
  ),
  'min-free-bytes': whole(256 * MIB, 0, 2 ** 50).describe(
    'readyz fails with less room on the disk than this. A log that cannot write halts, and is opened again when a quarter of this is free.',
  ),
  'slow-request-ms': whole(1000, 0, 86_400_000).describe(
    'Requests that take this long get a line in the log; 0: none does. Long polls are meant to take long.',
  ),
  'log-level': oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info').describe(
    'What the server writes about itself, as JSON lines on standard error.',
  ),
} as const

/** Every option of the server, and what must hold between them. */
export const serverOptions = new OptionTable('STELE', options, [
  {
    options: ['batch-entries', 'queue-entries'],
    holds: (config) => config['batch-entries'] <= config['queue-entries'],
    expected: 'at most queue-entries',
  },
  {
    options: ['batch-bytes', 'batch-entries', 'queue-bytes'],
    holds: (config) => config['batch-bytes'] + 512 * config['batch-entries'] <= config['queue-bytes'],
    expected: 'a batch, 512 bytes added for each of its entries, to fit in queue-bytes',
  },
  {
    options: ['bodies-in-flight-bytes', 'batch-bytes'],
    holds: (config) => config['batch-bytes'] <= config['bodies-in-flight-bytes'],
    expected: 'at least batch-bytes',
  },
  {
    options: ['stale-head-seconds', 'head-interval-seconds'],
    holds: (config) => config['head-interval-seconds'] < config['stale-head-seconds'],
    expected: 'more than head-interval-seconds',
  },
  {
    options: ['tls-key', 'tls-cert'],
    holds: (config) => (config['tls-key'] === '') === (config['tls-cert'] === ''),
    expected: 'both of tls-cert and tls-key, or neither',
  },
  {
    options: ['open', 'host'],
    holds: ({ open, host }) => !open || isLoopbackName(host),
    expected: 'a loopback host, for whoever reaches this server could write to it',
  },
  {
    options: ['host', 'tls-cert', 'insecure-http'],
    holds: (config) => isLoopbackName(config.host) || config['tls-cert'] !== '' || config['insecure-http'],
    expected:
      'a loopback host, or tls-cert and tls-key, or insecure-http where TLS ends at a proxy in front of the server',
  },
  {
    options: ['public-url'],
    holds: (config) => config['public-url'] === '' || isPublicUrl(config['public-url']),
    expected: 'http(s)://<host>, and a path if there is one',
  },
  {
    options: ['trusted-proxies'],
    holds: (config) => isAddressList(config['trusted-proxies']),
    expected: 'addresses and networks such as 10.0.0.0/8, with commas between them',
  },
])

/** The server's configuration: complete, checked, frozen. */
export type Config = OptionValues<typeof options>
export type OptionName = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const optionList = serverOptions.list

/** The parts of a list that is written with commas. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The longest that a new API key may be valid; undefined where there is no limit. */
export function maxKeyMsOf({ 'max-key-days': days }: Config): number | undefined {
  return days === 0 ? undefined : days * 86_400_000
}

function isPublicUrl(text: string): boolean {
  try {
    originPrefix(text, 'public-url')
    return true
  } catch {
    return false
  }
}

function isAddressList(text: string): boolean {
  try {
    parseAddressSet(listOf(text), 'list')
    return true
  } catch {
    return false
  }
}

/** The environment variable of an option. */
export function variableOf(name: OptionName): string {
  return serverOptions.variableOf(name)
}

/**
 * Puts flags over environment over file, and checks the whole before anything is opened.
 *
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote; `io_error`
 */
export function loadConfig(sources: OptionSources): Config {
  return serverOptions.load(sources)
}

/** As `loadConfig`, with where each value came from. */
export function resolveConfig(sources: OptionSources): Resolved<typeof options> {
  return serverOptions.resolve(sources)
}
