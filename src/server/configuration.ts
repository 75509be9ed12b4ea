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
/** The part that stands for all logs where there are too many to name each. */
const LOGS = 'logs'
/** 100 parts of at most 140 bytes, and before and after of a key of 16 KiB, are less than an entry's 65,535 bytes. */
const MOST_PARTS = 100

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

/** Each log's own parts; of very many logs one part, since all of it stands in one line of the meta log. */
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
  return Object.keys(parts).length > MOST_PARTS ? { [LOGS]: hashOf(JSON.stringify(parts)) } : parts
}

/** The parts that differ, sorted. */
export function changedParts(before: Configuration, after: Configuration): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => before[name] !== after[name]).sort()
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
