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

/** `stele monitor`: follows logs and reports findings. */
export function monitorCommand(program: Command, actions: Actions): void {
  const command = program
    .command('monitor [url]')
    .description('follow logs: verify every head, rehash every entry, search for patterns, report findings')
  addTrustOptions(command)
    .option(
      '--config <file>',
      'several logs, API keys, webhooks and matchers, in YAML (proto-docs/monitor.md)',
    )
    .option('--state <folder>', 'folder of saved progress and evidence', 'monitor')
    .option('--once', 'check every log once, then exit; the exit code tells what was found')
    .addOption(
      new Option('--tree-head-key <base64>', 'read ct/v1/get-sth as well, signed by this P-256 key (SPKI)'),
    )
    .option('--contains <text...>', 'report entries that contain this text')
    .option('--regex <expression...>', 'report entries that match this expression')
    .option(
      '--field <path=value...>',
      'report JSON entries in which a field, for example a.b.0, has this value',
    )
    .option('--webhook <url>', 'also send findings to this URL')
    .option(
      '--webhook-key <file>',
      'file with the key that signs what is sent: a secret (HMAC-SHA256) or an Ed25519 key',
    )
    .option('--from <index>', 'first entry to read of a log not seen before, or "end" (default: 0)')
    .option('--interval <seconds>', 'time between rounds (default: 10)')
    .option('--metrics-port <port>', 'serve Prometheus metrics on this port of 127.0.0.1')
    .addHelpText(
      'after',
      `${examples(
        ['stele monitor --once', 'check the log of --url once, for cron'],
        [
          'stele monitor https://log.example.com/logs/main --key <vkey> --contains acme.example',
          'continuously',
        ],
        ['stele monitor --config monitor.yaml --metrics-port 9464', 'several logs'],
      )}
A private log is read with the key of --api-key-file, or of api-key-file beside its url in --config. A key of
the role monitor is enough to follow its heads. Without a key, new heads cannot be proven to extend the old ones, which is
a finding. The key is sent only to that URL. The key in STELE_API_KEY is never sent, since another operator may run the URL's
server. New keys of a log are trusted once its old ones announce them (v1/keys/rotations).

With --policy and without a URL, every log that the policy lists with a URL is followed; --origin picks one.

Findings are JSON lines on standard output. With --once the most serious one sets the exit code:
  16 fork            17 rollback   58 unfrozen        13 bad_signature   14 bad_entry, bad_tile
   7 unproven, access_denied   18 quorum_lost   50 stale        51 silent
  20 unreachable, or a webhook that was not reached   40 the state could not be saved
  52 only matches   59 match_timeout: entries were not checked
A state folder is for one monitor at a time: 32 if another one uses it.
`,
    )
    .action(actions.of(monitor))
}

async function monitor(context: Context, options: MonitorOptions, url?: string): Promise<number> {
  const config = await configOf(context, options, url)
  const port = options.metricsPort === undefined ? undefined : portOf(options.metricsPort)
  const { lockStateFolder } = await import('../monitor/folder-store.ts')
  // Before anything is read: otherwise another monitor could change the state in between, and its progress would be
  // overwritten.
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
      'monitor: with --config, only --state, --once and --metrics-port are allowed',
    )
  }
  return readMonitorConfig(options.config, once)
}

const NOT_WITH_CONFIG =
  'origin policy treeHeadKey contains regex field webhook webhookKey from interval'.split(' ')

/** The flags as a configuration in the form of the file. */
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

/** The policy may list the log's key; otherwise it comes from the usual options. */
async function keyOf(context: Context, url: string, policy?: string): Promise<string | undefined> {
  if (policy !== undefined && context.explicitKey === undefined) return undefined
  const { formatVerifierKey } = await import('../../note/key.ts')
  return formatVerifierKey(await context.keyFor(url))
}

/** A value is parsed as JSON if possible, so that 7 and "7" are different values. */
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
    // Not JSON: the text itself is the value.
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
