import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readTextFile } from '../storage/files.ts'
import { listLogs, logFiles } from './data-folder.ts'

/** SHA-256, in hex, of each part of the configuration. */
export type Configuration = Readonly<Record<string, string>>

/** Some parts of a configuration; undefined: the part does not exist. */
export type Parts = Readonly<Record<string, string | undefined>>

/** The part with the server's own options, and the part with the API keys. */
const OPTIONS = 'options'
export const ACCESS = 'access'
/** In a line of the meta log: one hash over the parts of all logs. */
export const ALL_LOGS = 'all logs'
/** The name that earlier versions used instead, and only with more than 100 parts. */
const EARLIER_LOGS = 'logs'

/** Name of the part for a log's `log.json`. */
export const logPart = (name: string): string => `log ${name}`

/** Name of the part for a log's policy file. */
export const policyPart = (name: string): string => `policy of ${name}`

/**
 * Everything that determines a server's behaviour: its options, its API keys, and the settings and policy of each log.
 * Two configurations are equal if and only if none of these changed.
 *
 * @param options those of the running server; if absent, the recorded ones are used
 */
export async function readConfiguration(
  folder: string,
  options: object | undefined,
  before: Configuration = {},
): Promise<Configuration> {
  const parts: Record<string, string> = {}
  if (options) parts[OPTIONS] = hashOf(JSON.stringify(options))
  else if (before[OPTIONS] !== undefined) parts[OPTIONS] = before[OPTIONS]
  const access = await readTextFile(join(folder, 'access.json'))
  if (access !== undefined) parts[ACCESS] = hashOf(access)
  return { ...parts, ...(await readLogParts(folder)) }
}

/** The parts of all logs. */
async function readLogParts(folder: string): Promise<Configuration> {
  const parts: Record<string, string> = {}
  const put = async (name: string, path: string): Promise<void> => {
    const text = await readTextFile(path)
    if (text !== undefined) parts[name] = hashOf(text)
  }
  for (const name of await listLogs(folder)) {
    await put(logPart(name), logFiles(folder, name).info)
    await put(policyPart(name), logFiles(folder, name).policy)
  }
  return parts
}

/** A configuration as a line of the meta log records it: the server's own parts, and one hash of those of all logs. */
export function summaryOf(configuration: Configuration): Configuration {
  const [own, ofLogs] = split(configuration)
  const sorted = Object.entries(ofLogs).sort(([a], [b]) => (a < b ? -1 : 1))
  return { ...own, [ALL_LOGS]: hashOf(JSON.stringify(sorted)) }
}

/** The parts that belong to logs. */
export function logPartsOf(configuration: Configuration): Configuration {
  return split(configuration)[1]
}

function split(configuration: Configuration): [own: Configuration, ofLogs: Configuration] {
  const isOfLog = ([name]: [string, string]): boolean =>
    name.startsWith('log ') || name.startsWith('policy of ')
  const parts = Object.entries(configuration)
  return [
    Object.fromEntries(parts.filter((part) => !isOfLog(part))),
    Object.fromEntries(parts.filter(isOfLog)),
  ]
}

/**
 * Expands the single hash in a configuration recorded by an earlier version. The hash is compared with the current
 * parts, without those that were recorded for single logs since. If it differs and nothing was recorded since, the part
 * `logs` stays and is reported as changed once. If it differs and something was recorded since, no comparison is
 * possible.
 *
 * @param current the result of {@link readConfiguration}
 */
export function withEarlierLogs(recorded: Configuration, current: Configuration): Configuration {
  const { [EARLIER_LOGS]: earlier, ...named } = recorded
  if (earlier === undefined) return recorded
  const rest = Object.entries(logPartsOf(current)).filter(([name]) => named[name] === undefined)
  const isWhole = Object.keys(logPartsOf(named)).length === 0
  const differs = isWhole && hashOf(JSON.stringify(Object.fromEntries(rest))) !== earlier
  return { ...named, ...Object.fromEntries(rest), ...(differs ? { [EARLIER_LOGS]: earlier } : {}) }
}

/** Names of the parts that differ, sorted. */
export function changedParts(before: Configuration, after: Configuration): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => before[name] !== after[name]).sort()
}

/** The changes that turn one configuration into the other; null where a part is removed. */
export function partsBetween(before: Configuration, after: Configuration): Record<string, string | null> {
  return Object.fromEntries(changedParts(before, after).map((name) => [name, after[name] ?? null]))
}

/** A configuration with some parts replaced. Parts that are undefined are removed. */
export function withParts(configuration: Configuration, parts: Parts): Configuration {
  const all = Object.entries<string | undefined>({ ...configuration, ...parts })
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** The hash of a part: SHA-256 of its text, hex. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
