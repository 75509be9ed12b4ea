import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { parseBase64 } from '../../bytes/base64.ts'
import { SteleError } from '../../errors.ts'
import { createMatcher, type MatcherSpec } from '../../monitor/matcher.ts'
import type { MonitoredLog } from '../../monitor/monitored-log.ts'
import { checkHasBundles } from '../../client/verified-entries.ts'
import { checkLogKeys } from '../../note/checkpoint.ts'
import { parseVerifierKey } from '../../note/key.ts'
import { followRotations } from '../../note/rotation.ts'
import { treeHeadVerifier } from '../../note/tree-head.ts'
import { parsePolicy } from '../../policy/parse.ts'
import type { Policy } from '../../policy/policy.ts'
import { STDIN } from '../files/input.ts'

const name = z.string().min(1).optional()
const matcher = z.union([
  z.strictObject({ name, contains: z.string() }),
  z.strictObject({ name, regex: z.string(), flags: z.string().optional() }),
  z.strictObject({
    name,
    field: z.string(),
    equals: z.union([z.string(), z.number(), z.boolean(), z.null()]),
  }),
])
const seconds = (fallback: number) => z.number().min(0).max(31_536_000).default(fallback)

const log = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).optional(),
  key: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
  origin: z.string().min(1).optional(),
  policy: z.string().min(1).optional(),
  rotations: z.string().min(1).optional(),
  'api-key-file': z.string().min(1).optional(),
  frozen: z.boolean().default(false),
  'tree-head-key': z.string().min(1).optional(),
  matchers: z.array(matcher).default([]),
})

/** The schema of `stele monitor --config`; `proto-docs/monitor.md` describes each field. */
const schema = z.strictObject({
  logs: z.array(log).min(1),
  matchers: z.array(matcher).default([]),
  webhooks: z.array(z.strictObject({ url: z.string(), 'key-file': z.string().min(1) })).default([]),
  from: z.union([z.int().min(0), z.literal('end')]).default(0),
  'interval-seconds': seconds(10).refine((value) => value > 0, 'expected more than 0'),
  'stale-after-seconds': seconds(3600),
  'silent-after-seconds': seconds(86_400),
  'unreachable-after-seconds': seconds(300),
  'recheck-bundles': z.int().min(0).max(1000).default(1),
})

/** A monitor's configuration as written. */
export type MonitorConfigInput = z.input<typeof schema>

/** A log of the configuration. Its key file has not been read yet. */
export interface ConfiguredLog extends Omit<MonitoredLog, 'apiKey'> {
  readonly apiKeyFile?: string | undefined
}

/** The logs to watch, and where to send findings. */
export interface MonitorConfig {
  readonly logs: readonly ConfiguredLog[]
  readonly intervalMs: number
  /** The key files have not been read yet. */
  readonly webhooks: readonly { readonly url: string; readonly keyFile: string }[]
}

/**
 * Reads a configuration file (YAML). Relative paths in it start from its folder.
 *
 * @throws SteleError `usage` with all mistakes, `io_error`
 */
export function readMonitorConfig(path: string, once: boolean): MonitorConfig {
  let input: unknown
  try {
    input = parse(readText(path))
  } catch (error) {
    if (error instanceof SteleError) throw error
    throw new SteleError('usage', `${path}: ${(error as Error).message}`, { cause: error })
  }
  return monitorConfig(input, { where: path, base: dirname(path), once })
}

/**
 * Checks a configuration and builds its parts.
 *
 * @param at.base folder that relative paths start from
 * @param at.once for a single round: an unreachable log is a finding at once
 * @throws SteleError `usage` with all mistakes, `io_error`
 */
export function monitorConfig(
  input: unknown,
  at: { readonly where: string; readonly base: string; readonly once: boolean },
): MonitorConfig {
  const parsed = schema.safeParse(input)
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'top'}: ${message}`)
    throw new SteleError('usage', [`${at.where}:`, ...mistakes].join('\n  '))
  }
  const config = parsed.data
  const shared = {
    from: config.from,
    recheckBundles: config['recheck-bundles'],
    staleAfterMs: config['stale-after-seconds'] * 1000,
    silentAfterMs: config['silent-after-seconds'] * 1000,
    unreachableAfterMs: at.once ? 0 : config['unreachable-after-seconds'] * 1000,
  }
  const logs = config.logs.flatMap((each) =>
    logsOf(each, config.matchers, at.base).map((found) => ({ ...shared, ...found })),
  )
  const twice = logs.find(({ origin }, i) => logs.findIndex((other) => other.origin === origin) !== i)
  if (twice) throw new SteleError('usage', `${at.where}: the log ${twice.origin} is listed twice`)
  const webhooks = config.webhooks.map(({ url, 'key-file': file }) => ({
    url,
    keyFile: resolve(at.base, file),
  }))
  return { logs, intervalMs: config['interval-seconds'] * 1000, webhooks }
}

type NamedKeys = Pick<MonitoredLog, 'url' | 'origin' | 'verifierKeys'>
type NamedLog = Pick<
  MonitoredLog,
  'url' | 'origin' | 'verifierKeys' | 'policy' | 'treeHeadKey' | 'frozen' | 'matchers'
> &
  Pick<ConfiguredLog, 'apiKeyFile'>

function logsOf(item: z.output<typeof log>, shared: readonly MatcherSpec[], base: string): NamedLog[] {
  const policy = item.policy === undefined ? undefined : readPolicy(resolve(base, item.policy))
  const treeHeadKey = item['tree-head-key']
  const keyFile = item['api-key-file']
  if (keyFile !== undefined && item.url === undefined) {
    throw new SteleError('usage', 'api-key-file: expected the url beside it that the key is for')
  }
  const rest = {
    policy,
    // Standard input can be read only once, so only a flag may name it.
    apiKeyFile: keyFile === undefined || keyFile === STDIN ? keyFile : resolve(base, keyFile),
    treeHeadKey:
      treeHeadKey === undefined ? undefined : usage('tree-head-key', () => readTreeHeadKey(treeHeadKey)),
    frozen: item.frozen,
    matchers: [...shared, ...item.matchers].map((spec) => createMatcher(spec)),
  }
  const rotations = item.rotations === undefined ? '' : readText(resolve(base, item.rotations))
  const followed = (found: NamedKeys): NamedKeys => {
    const { origin, verifierKeys: verifiers } = found
    return {
      ...found,
      verifierKeys: usage('rotations', () => followRotations({ origin, verifiers }, rotations)),
    }
  }
  if (item.key === undefined)
    return logsOfPolicy(item, policy).map((named) => ({ ...followed(named), ...rest }))
  if (item.url === undefined) throw new SteleError('usage', 'log: expected a url beside its key')
  const verifierKeys = [item.key].flat().map((key) => usage('key', () => parseVerifierKey(key.trim())))
  const origin = item.origin ?? verifierKeys[0]!.name
  usage('key', () => {
    checkLogKeys(verifierKeys)
    checkHasBundles({ origin, verifiers: verifierKeys })
  })
  return [{ ...followed({ url: item.url, origin, verifierKeys }), ...rest }]
}

/** The logs of a policy: the one with the given URL, else all that have a URL in the policy. */
function logsOfPolicy(
  { url, origin }: z.output<typeof log>,
  policy: Policy | undefined,
): Pick<MonitoredLog, 'url' | 'origin' | 'verifierKeys'>[] {
  const origins = [...new Set(policy?.logs.map(({ key }) => key.name))].filter(
    (each) => each === (origin ?? each),
  )
  const found = origins.flatMap((each) => {
    const own = policy!.logs.filter(({ key }) => key.name === each)
    const at = url ?? own.find((listed) => listed.url !== undefined)?.url
    return at === undefined ? [] : [{ url: at, origin: each, verifierKeys: own.map(({ key }) => key) }]
  })
  if (found.length === 0 || (url !== undefined && found.length > 1)) {
    const hint = 'a key, or a policy that lists the log with its key and URL'
    throw new SteleError('usage', `log ${url ?? '(without url)'}: expected ${hint}`)
  }
  return found
}

function readTreeHeadKey(text: string): Uint8Array {
  const spki = parseBase64(text, 'base64')
  treeHeadVerifier(spki)
  return spki
}

function readPolicy(path: string): Policy {
  const text = readText(path)
  return usage(path, () => parsePolicy(text))
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new SteleError('io_error', `${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** Runs a parser. An error in a configuration is a mistake of the operator, so its code is `usage`. */
function usage<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    throw new SteleError('usage', `${what}: ${error.message}`, { cause: error })
  }
}
