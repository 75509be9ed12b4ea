import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { listLogs, logFiles } from './data-folder.ts'
import { readTextFile } from './files.ts'

/** SHA-256, in hex, of each part of what makes a server behave as it does. */
export type Configuration = Readonly<Record<string, string>>

/** The part that is the server's own options, and the one that is the keys. */
const OPTIONS = 'options'
export const ACCESS = 'access'

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
  const put = async (name: string, path: string): Promise<void> => {
    const text = await readTextFile(path)
    if (text !== undefined) parts[name] = hashOf(text)
  }
  await put(ACCESS, join(folder, 'access.json'))
  for (const name of await listLogs(folder)) {
    await put(`log ${name}`, join(logFiles(folder, name).folder, 'log.json'))
    await put(`policy of ${name}`, logFiles(folder, name).policy)
  }
  return parts
}

/** The parts that differ, sorted. */
export function changedParts(before: Configuration, after: Configuration): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)])
  return [...names].filter((name) => before[name] !== after[name]).sort()
}

/** What stands for a part: SHA-256 of its text, hex. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
