import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readTextFile } from '../storage/files.ts'
import { listLogs, logFiles } from './data-folder.ts'

/** SHA-256, in hex, of each part of what makes a server behave as it does. */
export type Configuration = Readonly<Record<string, string>>

/** Some parts of it; undefined: it is not there. */
export type Parts = Readonly<Record<string, string | undefined>>

/** The part that is the server's own options, and the one that is the keys. */
const OPTIONS = 'options'
export const ACCESS = 'access'
/** What stands in a line for the parts of all logs: one hash, with any number of them. */
export const ALL_LOGS = 'all logs'
/** What earlier versions recorded in its place, and only where there were more than 100 parts. */
const EARLIER_LOGS = 'logs'

/** The part that is a log's `log.json`. */
export const logPart = (name: string): string => `log ${name}`

/** The part that is a log's policy file. */
export const policyPart = (name: string): string => `policy of ${name}`

/**
 * What a server's behaviour follows from: its options, who has which key, what each log is and whose cosignatures it
 * waits for. Two configurations are equal if and only if nobody changed anything.
 *
 * @param options those of the running server; without them the ones recorded before are taken over
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

/** Each log's own parts. */
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

/** What a line says of a configuration: the server's own parts, and one hash of those of all logs. */
export function summaryOf(configuration: Configuration): Configuration {
  const [own, ofLogs] = split(configuration)
  const sorted = Object.entries(ofLogs).sort(([a], [b]) => (a < b ? -1 : 1))
  return { ...own, [ALL_LOGS]: hashOf(JSON.stringify(sorted)) }
}

/** The parts that are about logs. */
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
 * A configuration that an earlier version recorded, with the parts that one hash stood for. The hash is compared with
 * what is there now, less what was recorded of single logs since. Where it differs, and nothing was recorded since, the
 * part `logs` stays, and is named as changed once; where something was recorded since, nothing can be said.
 *
 * @param current as {@link readConfiguration} has just read it
 */
export function withEarlierLogs(recorded: Configuration, current: Configuration): Configuration {
  const { [EARLIER_LOGS]: earlier, ...named } = recorded
  if (earlier === undefined) return recorded
  const rest = Object.entries(logPartsOf(current)).filter(([name]) => named[name] === undefined)
  const isWhole = Object.keys(logPartsOf(named)).length === 0
  const differs = isWhole && hashOf(JSON.stringify(Object.fromEntries(rest))) !== earlier
  return { ...named, ...Object.fromEntries(rest), ...(differs ? { [EARLIER_LOGS]: earlier } : {}) }
}

/** The parts that differ, sorted. */
export function changedParts(before: Configuration, after: Configuration): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => before[name] !== after[name]).sort()
}

/** What makes the one configuration the other: null where a part goes. */
export function partsBetween(before: Configuration, after: Configuration): Record<string, string | null> {
  return Object.fromEntries(changedParts(before, after).map((name) => [name, after[name] ?? null]))
}

/** A configuration with some parts replaced, and those that are undefined left out. */
export function withParts(configuration: Configuration, parts: Parts): Configuration {
  const all = Object.entries<string | undefined>({ ...configuration, ...parts })
  return Object.fromEntries(all.filter((entry): entry is [string, string] => entry[1] !== undefined))
}

/** What stands for a part: SHA-256 of its text, hex. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
