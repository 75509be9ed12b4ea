import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { z } from 'zod'
import { isLoopback, parseAddressSet } from '../access/address.ts'
import { SteleError } from '../errors.ts'

const MIB = 1024 * 1024

/** A number as YAML has it, or as text in plain decimal: Number("") is 0 and Number("0x10") is 16. */
const number = (schema: z.ZodNumber, fallback: number): z.ZodDefault<z.ZodType<number>> =>
  z
    .preprocess(
      (value) => (typeof value === 'string' && /^[0-9]+(\.[0-9]+)?$/.test(value) ? Number(value) : value),
      schema,
    )
    .default(fallback)

const bytes = (fallback: number): z.ZodDefault<z.ZodType<number>> =>
  number(
    z
      .int()
      .min(1)
      .max(4096 * MIB),
    fallback,
  )
const flag = (): z.ZodDefault<z.ZodType<boolean>> =>
  z
    .preprocess((value) => (value === 'true' ? true : value === 'false' ? false : value), z.boolean())
    .default(false)
const rate = (fallback: number): z.ZodDefault<z.ZodType<number>> =>
  number(z.number().min(0).max(1_000_000), fallback)
const count = (fallback: number): z.ZodDefault<z.ZodType<number>> =>
  number(z.int().min(1).max(10_000_000), fallback)
const seconds = (fallback: number): z.ZodDefault<z.ZodType<number>> =>
  number(z.number().positive().max(86_400), fallback)

/**
 * Every option of the server, under the name that the file uses; the flag is `--name`, the variable `STELE_NAME` in
 * capitals with underscores. `proto-docs/configuration.md` is checked against this table.
 */
const options = {
  data: z.string().min(1).default('data').describe('Data folder, as made by "stele init".'),
  host: z
    .string()
    .min(1)
    .default('127.0.0.1')
    .describe(
      'Address to listen on. Anything but loopback is reachable by others: use TLS, here or in front.',
    ),
  port: number(z.int().min(0).max(65_535), 6962).describe('TCP port; 0 takes a free one.'),
  'head-interval-seconds': seconds(300).describe(
    'An idle log signs its head anew after this long. Longer: monitors learn later that a log is dead.',
  ),
  'stale-head-seconds': seconds(900).describe(
    'readyz fails for a log whose head is older. Must exceed head-interval-seconds.',
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
  'max-connections': count(10_000).describe('Open connections; further ones are closed at once.'),
  'cache-bytes': bytes(64 * MIB).describe('Memory of each log for tiles that proofs read again and again.'),
  'witness-timeout-seconds': seconds(5).describe(
    'A witness has this long to answer. Longer: one that hangs delays publishing, if the quorum needs it.',
  ),
  'publish-without-quorum': flag().describe(
    'Publish heads though too few witnesses cosigned them, for logs that have a policy. Verifiers with a policy refuse them.',
  ),
  open: flag().describe(
    'Anybody may append and read metrics without a key. Only with a loopback host: for trying things out.',
  ),
  'open-metrics': flag().describe(
    'Anybody may read metrics; otherwise they take a key of the role operator.',
  ),
  'trusted-proxies': z
    .string()
    .default('')
    .describe(
      'Addresses and networks, with commas between them, of proxies whose X-Forwarded-For is believed. Too wide: callers make up their address.',
    ),
  'address-requests-per-second': rate(0).describe(
    'Requests that one address may send without a key; more get 429. 0: any number.',
  ),
  'key-requests-per-second': rate(0).describe(
    'Requests that one key may send, unless the key itself says otherwise; more get 429. 0: any number.',
  ),
  'scrub-bytes-per-second': number(
    z
      .int()
      .min(0)
      .max(4096 * MIB),
    4 * MIB,
  ).describe(
    'Each log is read again and compared with its signed head at this rate; 0 switches it off, and then nothing finds rot before a reader does.',
  ),
  'log-level': z
    .enum(['silent', 'error', 'warn', 'info', 'debug'])
    .default('info')
    .describe('What the server writes about itself, as JSON lines on standard error.'),
} as const

const configSchema = z.strictObject(options).superRefine((config, context) => {
  const need = (fact: boolean, path: keyof typeof options, message: string): void => {
    if (!fact) context.addIssue({ code: 'custom', path: [path], message })
  }
  need(config['batch-entries'] <= config['queue-entries'], 'batch-entries', 'expected at most queue-entries')
  need(
    config['batch-bytes'] + 512 * config['batch-entries'] <= config['queue-bytes'],
    'batch-bytes',
    'expected a batch, 512 bytes added for each of its entries, to fit in queue-bytes',
  )
  need(
    config['batch-bytes'] <= config['bodies-in-flight-bytes'],
    'bodies-in-flight-bytes',
    'expected at least batch-bytes',
  )
  need(
    config['head-interval-seconds'] < config['stale-head-seconds'],
    'stale-head-seconds',
    'expected more than head-interval-seconds',
  )
  need(
    !config.open || config.host === 'localhost' || isLoopback(config.host),
    'open',
    'expected a loopback host: whoever reaches this server could write to it',
  )
  try {
    parseAddressSet(listOf(config['trusted-proxies']), 'trusted-proxies')
  } catch (error) {
    need(false, 'trusted-proxies', (error as Error).message)
  }
})

/** The server's configuration: complete, checked, frozen. */
export type Config = Readonly<z.infer<typeof configSchema>>
export type OptionName = keyof typeof options

/** Names, meanings and defaults, for `--help` and for the documentation. */
export const optionList: readonly { name: OptionName; description: string; fallback: string }[] = (
  Object.entries(options) as [OptionName, z.ZodDefault<z.ZodType>][]
).map(([name, schema]) => ({
  name,
  description: schema.description ?? '',
  fallback: String(schema.parse(undefined)),
}))

/** The parts of a list that is written with commas. */
export function listOf(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The environment variable of an option. */
export function variableOf(name: OptionName): string {
  return `STELE_${name.toUpperCase().replaceAll('-', '_')}`
}

/**
 * Puts flags over environment over file, and checks the whole before anything is opened.
 *
 * @param sources.flags what the command line said, by option name
 * @param sources.env the process environment; variables that begin with STELE_ and name no option are left alone
 * @param sources.file path of a YAML file
 * @throws SteleError `usage`, with every mistake at once under the name that the operator wrote; `io_error`
 */
export function loadConfig(sources: {
  flags?: Readonly<Record<string, unknown>>
  env?: Readonly<Record<string, string | undefined>>
  file?: string | undefined
}): Config {
  const { flags = {}, env = {}, file } = sources
  const merged: Record<string, unknown> = {}
  const writtenAs = new Map<string, string>()
  const put = (name: string, value: unknown, written: string): void => {
    merged[name] = value
    writtenAs.set(name, written)
  }
  if (file !== undefined) {
    for (const [name, value] of Object.entries(readFile(file))) put(name, value, `${file}: ${name}`)
  }
  for (const { name } of optionList) {
    const value = env[variableOf(name)]
    if (value !== undefined) put(name, value, variableOf(name))
  }
  for (const [name, value] of Object.entries(flags)) {
    if (value !== undefined) put(name, value, `--${name}`)
  }
  const parsed = configSchema.safeParse(merged)
  if (parsed.success) return Object.freeze(parsed.data)
  const mistakes = parsed.error.issues.flatMap((issue) => {
    const names = issue.code === 'unrecognized_keys' ? issue.keys : [String(issue.path[0])]
    const message = issue.code === 'unrecognized_keys' ? 'there is no such option' : issue.message
    return names.map((name) => `${writtenAs.get(name) ?? name}: ${message}`)
  })
  throw new SteleError('usage', `configuration:\n  ${mistakes.join('\n  ')}`)
}

function readFile(path: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SteleError('io_error', `configuration: ${(error as Error).message}`, { cause: error })
  }
  let value: unknown
  try {
    value = parse(text) as unknown
  } catch (error) {
    throw new SteleError('usage', `${path}: expected YAML: ${(error as Error).message}`, { cause: error })
  }
  if (value === null || value === undefined) return {}
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw new SteleError('usage', `${path}: expected a list of "option: value" lines`)
  }
  return value as Record<string, unknown>
}
