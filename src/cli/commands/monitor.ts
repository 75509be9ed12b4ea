import { Option, type Command } from 'commander'
import { SteleError } from '../../errors.ts'
import { type Actions, examples } from '../action.ts'
import { addTrustOptions, type Context, type TrustOptions } from '../context.ts'
import { EXIT_INTERRUPTED } from '../exit-codes.ts'
import type { MonitorConfig, MonitorConfigInput } from '../monitor/config.ts'

interface MonitorOptions extends TrustOptions {
  readonly config?: string
  readonly state: string
  readonly once?: boolean
  readonly treeHeadKey?: string
  readonly contains?: readonly string[]
  readonly regex?: readonly string[]
  readonly field?: readonly string[]
  readonly webhook?: string
  readonly webhookKey?: string
  readonly from?: string
  readonly interval?: string
  readonly metricsPort?: string
}

/** `stele monitor`: follows logs and raises the alarm. */
export function monitorCommand(program: Command, actions: Actions): void {
  const command = program
    .command('monitor [url]')
    .description(
      'follow logs: verify every head, rehash every entry, look for what you ask for, raise the alarm',
    )
  addTrustOptions(command)
    .option(
      '--config <file>',
      'several logs, API keys, webhooks and matchers, in YAML (proto-docs/monitor.md)',
    )
    .option('--state <folder>', 'what was seen so far, and evidence', 'monitor')
    .option('--once', 'one look at every log, then end; the exit code says what was found')
    .addOption(
      new Option('--tree-head-key <base64>', 'read ct/v1/get-sth as well, signed by this P-256 key (SPKI)'),
    )
    .option('--contains <text...>', 'report entries that hold this text')
    .option('--regex <expression...>', 'report entries that match')
    .option('--field <path=value...>', 'report JSON entries in which a field, a.b.0, has this value')
    .option('--webhook <url>', 'send findings there as well')
    .option('--webhook-key <file>', 'signs what is sent: a secret (HMAC-SHA256) or an Ed25519 key')
    .option('--from <index>', 'first entry to read of a log not seen before, or "end" (default: 0)')
    .option('--interval <seconds>', 'time from look to look (default: 10)')
    .option('--metrics-port <port>', 'serve Prometheus metrics on this port of 127.0.0.1')
    .addHelpText(
      'after',
      `${examples(
        ['stele monitor --once', 'one look at the log of --url, for cron'],
        [
          'stele monitor https://log.example.com/logs/main --key <vkey> --contains acme.example',
          'day and night',
        ],
        ['stele monitor --config monitor.yaml --metrics-port 9464', 'several logs'],
      )}
A private log is read with the key of --api-key-file, or of api-key-file beside its url in --config. A key of
the role monitor follows its heads. Without any, new heads cannot be proven to extend the old ones, which is a finding.
The key is shown to that URL alone, never the one in STELE_API_KEY: a URL may be anybody's. New keys of a log are believed once its
old ones announce them (v1/keys/rotations).

With --policy and without a URL, every log that the policy lists with a URL is followed; --origin picks one.

Findings are JSON lines on standard output. With --once the gravest one makes the exit code:
  16 fork            17 rollback   58 unfrozen        13 bad_signature   14 bad_entry, bad_tile
   7 unproven, access_denied   18 quorum_lost   50 stale        51 silent
  20 unreachable, or a webhook that was not reached   40 the state could not be saved
  52 nothing but matches   59 match_timeout: entries were not looked through
One monitor at a time uses a state folder: 32 while another one does.
`,
    )
    .action(actions.of(monitor))
}

async function monitor(context: Context, options: MonitorOptions, url?: string): Promise<number> {
  const config = await configOf(context, options, url)
  const port = options.metricsPort === undefined ? undefined : portOf(options.metricsPort)
  const { lockStateFolder } = await import('../monitor/folder-store.ts')
  // Before anything is read from it: what another monitor writes meanwhile would be overwritten.
  const lock = await lockStateFolder(options.state, (message) => context.terminal.warn(message))
  try {
    return await follow(context, config, options, port)
  } finally {
    await lock.close()
  }
}

async function follow(
  context: Context,
  config: MonitorConfig,
  { state, once }: MonitorOptions,
  port: number | undefined,
): Promise<number> {
  const { Session } = await import('../monitor/session.ts')
  const session = await Session.open(context, config, state)
  if (once) return session.once()
  const { serveMetrics } = await import('../monitor/session.ts')
  const server = port === undefined ? undefined : await serveMetrics(session.metrics, port)
  let signals = 0
  const off = context.io.onStopSignal(() =>
    ++signals === 1 ? session.stop() : context.io.exit(EXIT_INTERRUPTED),
  )
  try {
    const logs = config.logs.map(({ origin }) => origin).join(', ')
    context.terminal.note(`Watching ${logs}; state and evidence in ${state}`)
    if (server) context.terminal.note(`Metrics: ${server.url}`)
    await session.watch(config.intervalMs)
    return session.exitCode
  } finally {
    off()
    await server?.close()
  }
}

async function configOf(context: Context, options: MonitorOptions, url?: string): Promise<MonitorConfig> {
  const { monitorConfig, readMonitorConfig } = await import('../monitor/config.ts')
  const once = options.once === true
  if (options.config === undefined) {
    return monitorConfig(await inputOf(context, options, url), { where: 'monitor', base: '.', once })
  }
  const ofOneLog = [url, context.apiKeyFile, context.rotationsFile].some((given) => given !== undefined)
  if (ofOneLog || Object.keys(options).some((name) => NOT_WITH_CONFIG.includes(name))) {
    throw new SteleError(
      'usage',
      'monitor: --config says it all; beside it only --state, --once and --metrics-port',
    )
  }
  return readMonitorConfig(options.config, once)
}

const NOT_WITH_CONFIG =
  'origin policy treeHeadKey contains regex field webhook webhookKey from interval'.split(' ')

/** Flags, as the configuration file has them. */
async function inputOf(context: Context, options: MonitorOptions, url?: string): Promise<MonitorConfigInput> {
  const {
    contains = [],
    regex = [],
    field = [],
    webhook,
    webhookKey,
    origin,
    policy,
    treeHeadKey,
    from,
    interval,
  } = options
  if ((webhook === undefined) !== (webhookKey === undefined)) {
    throw new SteleError('usage', 'monitor: expected --webhook and --webhook-key together')
  }
  const fromPolicy = policy !== undefined && url === undefined && context.explicitUrl === undefined
  const at = url ?? context.url
  const log = fromPolicy ? {} : { url: at, key: await keyOf(context, at, policy) }
  return {
    logs: [
      {
        ...log,
        origin,
        policy,
        rotations: context.rotationsFile,
        'api-key-file': context.apiKeyFile,
        'tree-head-key': treeHeadKey,
      },
    ],
    matchers: [
      ...contains.map((text) => ({ contains: text })),
      ...regex.map((expression) => ({ regex: expression })),
      ...field.map(fieldOf),
    ],
    webhooks: webhook === undefined ? [] : [{ url: webhook, 'key-file': webhookKey! }],
    ...(from === undefined ? {} : { from: from === 'end' ? from : numberOf('--from', from) }),
    ...(interval === undefined ? {} : { 'interval-seconds': numberOf('--interval', interval) }),
  }
}

/** A policy may list the log's key; else it is found as everywhere. */
async function keyOf(context: Context, url: string, policy?: string): Promise<string | undefined> {
  if (policy !== undefined && context.explicitKey === undefined) return undefined
  const { formatVerifierKey } = await import('../../note/key.ts')
  return formatVerifierKey(await context.keyFor(url))
}

/** A value is JSON where it can be read as such: 7 and "7" are different ones. */
function fieldOf(text: string): { field: string; equals: string | number | boolean | null } {
  const at = text.indexOf('=')
  if (at < 1) throw new SteleError('usage', `--field: expected path=value, got "${text}"`)
  const [field, value] = [text.slice(0, at), text.slice(at + 1)]
  try {
    const parsed = JSON.parse(value) as unknown
    if (parsed === null || ['string', 'number', 'boolean'].includes(typeof parsed)) {
      return { field, equals: parsed as string | number | boolean | null }
    }
  } catch {
    // Not JSON: the text itself is meant.
  }
  return { field, equals: value }
}

function portOf(text: string): number {
  const port = numberOf('--metrics-port', text)
  if (port <= 65_535) return port
  throw new SteleError('usage', `--metrics-port: expected 0 to 65535, got ${text}`)
}

function numberOf(flag: string, text: string): number {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text)
  throw new SteleError('usage', `${flag}: expected a whole number, got "${text}"`)
}
