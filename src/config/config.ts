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
 * Every option of the server, by its name in the file. The flag is `--name`, the variable `STELE_NAME` in capitals with
 * underscores. A test checks `proto-docs/configuration.md` against this table.
 */
const options = {
  data: words('data').describe('Data folder, as made by "stele init".'),
  host: hostName('127.0.0.1').describe(
    'Address to listen on. Any address but loopback is reachable from other machines, and requires tls-cert or insecure-http.',
  ),
  port: whole(6962, 0, 65_535).describe('TCP port; 0 chooses a free one.'),
  'insecure-http': flag(false).describe(
    'Listen without TLS on an address other than loopback, for a server behind a proxy that terminates TLS. Without such a proxy, keys and entries cross the network in the clear.',
  ),
  'public-url': anyText('').describe(
    'URL at which clients reach this server; the origins of new logs are derived from it. A server on loopback only answers requests for this host, localhost and the hosts of its origins. Default: the URL given to "stele init".',
  ),
  'tls-cert': anyText('').describe(
    'Certificate in PEM, followed by its chain. With it and tls-key the server uses TLS; SIGHUP reads both files again.',
  ),
  'tls-key': anyText('').describe(
    "The certificate's private key in PEM, not encrypted. A file that users other than its owner can read is refused.",
  ),
  'head-interval-seconds': seconds(300).describe(
    'An idle log re-signs its head after this long. Longer: monitors learn later that a log is dead.',
  ),
  'stale-head-seconds': seconds(900).describe(
    'readyz fails for a log whose head is older than this. Must exceed head-interval-seconds.',
  ),
  'max-head-ahead-seconds': whole(300, 0, 3_153_600_000).describe(
    'A log whose newest head is dated this far ahead of the clock, and of its witnesses, signs nothing and accepts no entries until that time. The meta log is not affected.',
  ),
  'queue-entries': count(65_536).describe('Entries of one log that may wait for an index; more get 503.'),
  'queue-bytes': bytes(64 * MIB).describe(
    'Bytes of one log that may wait, counting 512 extra for each entry; more get 503. One caller gets 429 at half of it.',
  ),
  'commit-entries': count(8192).describe('Entries of one commit. More: higher throughput, longer commits.'),
  'commit-bytes': bytes(8 * MIB).describe('Bytes of one commit, likewise.'),
  'batch-entries': count(10_000).describe('Entries of one batch request; more get 413.'),
  'batch-bytes': bytes(16 * MIB).describe('Bytes of one batch request; more get 413.'),
  'body-timeout-seconds': seconds(30).describe(
    'A request whose body is not complete after this time gets 408.',
  ),
  'headers-timeout-seconds': seconds(10).describe('Request headers must be complete after this time.'),
  'bodies-in-flight-bytes': bytes(128 * MIB).describe(
    'Bytes of request bodies in memory at once, over all requests; more get 503.',
  ),
  'max-connections': count(10_000).describe(
    'Open connections; further ones are closed at once. A tenth, at most 64, is reserved for probes and loopback.',
  ),
  'max-connections-per-address': whole(0, 0, 10_000_000).describe(
    'Open connections of one address, or IPv6 /64; loopback and trusted-proxies may have more. 0: a quarter of max-connections.',
  ),
  'max-long-polls': whole(0, 0, 10_000_000).describe(
    'Requests that wait for a newer checkpoint; more get 503. 0: half of max-connections.',
  ),
  'max-long-polls-per-address': whole(0, 0, 10_000_000).describe(
    "Requests of one address, or IPv6 /64, that wait for a newer checkpoint; behind trusted-proxies the client's address counts. More get 503. 0: an eighth of max-connections.",
  ),
  'answer-timeout-seconds': seconds(30).describe(
    'A client is disconnected if it reads nothing of a response for this time, or less than 64 KiB of a large one.',
  ),
  'answers-in-flight-bytes': whole(128 * MIB, 16 * MIB, 4096 * MIB).describe(
    'Bytes of large responses in memory at once; more get 503. One address, or IPv6 /64, gets 503 at a quarter of it.',
  ),
  'stop-timeout-seconds': seconds(25).describe(
    'When the server stops, its process ends after this time at the latest. Acknowledged entries are on disk in any case.',
  ),
  'cache-bytes': bytes(64 * MIB).describe('Memory of each log for tiles that proofs read repeatedly.'),
  'witness-timeout-seconds': seconds(5).describe(
    "Time limit for a witness's response. With a longer time, a witness that hangs delays publishing, if the quorum needs it.",
  ),
  'publish-without-quorum': flag(false).describe(
    'For logs with a policy: publish heads that too few witnesses cosigned. Verifiers with a policy refuse these heads.',
  ),
  open: flag(false).describe(
    'Callers may append and read metrics without a key. Requires a loopback host; for trying things out.',
  ),
  'open-metrics': flag(false).describe(
    'Callers may read metrics without a key. Otherwise metrics require a key of the role operator.',
  ),
  'trusted-proxies': anyText('').describe(
    'Comma-separated addresses and networks of proxies whose X-Forwarded-For is trusted. If it covers more than your proxies, callers can forge their address.',
  ),
  'address-requests-per-second': whole(0, 0, 1_000_000).describe(
    'Requests per second that one address may send without a key; more get 429. 0: any number.',
  ),
  'key-requests-per-second': whole(0, 0, 1_000_000).describe(
    'Requests per second that one key may send, unless the key has its own limit; more get 429. 0: any number.',
  ),
  'max-key-days': whole(0, 0, 36_500).describe(
    'The longest validity of a new API key, in days; a request for a longer one is refused. 0: no limit. Existing keys keep theirs.',
  ),
  identity: section(identitySchema),
  'scrub-bytes-per-second': whole(4 * MIB, 0, 4096 * MIB).describe(
    'Rate at which the scrubber reads each log and compares it with its signed head. 0 turns it off; damage is then first found by a reader.',
  ),
  'min-free-bytes': whole(256 * MIB, 0, 2 ** 50).describe(
    'readyz fails with less free disk space than this. A log that cannot write halts, and opens again when a quarter of this is free.',
  ),
  'slow-request-ms': whole(1000, 0, 86_400_000).describe(
    'Requests that take this long are logged; 0: none. Long polls are excluded.',
  ),
  'log-level': oneOf(['silent', 'error', 'warn', 'info', 'debug'], 'info').describe(
    "Least severe level of the server's own log, JSON lines on standard error.",
  ),
} as const

/** Every option of the server, and the conditions between them. */
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
    expected: 'a loopback host, since any caller that reaches an open server can append',
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
    expected: 'comma-separated addresses and networks, for example 10.0.0.0/8',
  },
])

/** The server's configuration: complete, checked, frozen. */
export type Config = OptionValues<typeof options>
export type OptionName = keyof typeof options

/** Names, descriptions and defaults, for `--help` and for the documentation. */
export const optionList = serverOptions.list

/** The items of a comma-separated list. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The longest validity of a new API key; undefined without a limit. */
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
 * Reads the configuration: flags override the environment, which overrides the file. Checks all of it before anything
 * is opened.
 *
 * @throws SteleError `usage`, with all mistakes, each under the name that the operator wrote; `io_error`
 */
export function loadConfig(sources: OptionSources): Config {
  return serverOptions.load(sources)
}

/** As `loadConfig`, and also returns where each value came from. */
export function resolveConfig(sources: OptionSources): Resolved<typeof options> {
  return serverOptions.resolve(sources)
}
