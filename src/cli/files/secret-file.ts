import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../../errors.ts'
import { replaceFile, syncFolder, writeNewFile } from '../../storage/files.ts'
import type { Io } from '../io.ts'
import { readInput, STDIN } from './input.ts'

/** Where a key is that was made for a person who was not there to see it: in the data folder, which the server keeps to itself. */
export const PROVISIONING_KEY_FILE = 'provisioning.key'
/** Likewise the first key that may append. */
export const WRITER_KEY_FILE = 'writer.key'

/** The option of commands that print a key and nothing else. */
export const KEY_OUT = [
  '-o, --out <file>',
  'write the key into a new file of mode 600, not to standard output',
] as const

/**
 * Makes a key and keeps it in a new file that only its owner can read. The file is there before the key is made, so that
 * no key is made which cannot be kept.
 *
 * @param path undefined: it is kept nowhere
 * @throws SteleError `already_exists` where there is a file, `io_error`; what `make` throws, and then there is no file
 */
export async function keepKey<T extends { readonly key: string }>(
  path: string | undefined,
  make: () => Promise<T>,
): Promise<T> {
  if (path === undefined) return make()
  await writeNewFile(path, '', 0o600)
  try {
    const made = await make()
    await replaceFile(path, `${made.key}\n`, 0o600)
    return made
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

/** As {@link keepKey}, for a key that is there, in a folder that is known to take files. */
export async function writeKey(path: string, key: string): Promise<void> {
  await writeNewFile(path, `${key}\n`, 0o600)
  await syncFolder(dirname(path))
}

/** What the commands say whose URL may be anybody's. */
export const COPIES_HELP = `
A URL may be anybody's, so an API key is sent there only if --api-key-file names it, never the one in STELE_API_KEY.
`

/**
 * The API key that a flag names: from a file that only its owner can reach, from a pipe, or from standard input for `-`.
 *
 * @throws SteleError `io_error`, `key_permissions`; `usage` for what is no key
 */
export async function apiKeyOf(path: string, io: Io): Promise<string> {
  const { checkedApiKey, readApiKeyFile } = await import('../../access/api-key-file.ts')
  if (!isPipe(path)) return readApiKeyFile(path)
  return checkedApiKey(Buffer.from(await readInput(path, io)).toString(), path)
}

/** An API key is for one server. @throws SteleError `usage` */
export function checkOneServer(targets: readonly (string | undefined)[]): void {
  const urls = targets.filter(
    (target) => target !== undefined && /^https?:/.test(target) && URL.canParse(target),
  )
  const servers = new Set(urls.map((url) => new URL(url!).origin))
  if (servers.size <= 1) return
  throw new SteleError(
    'usage',
    `--api-key-file: each of the URLs would be shown the key, so expected all of one server, got ${[...servers].join(', ')}`,
  )
}

/** What is handed over by a process has no permissions that would say anything. */
function isPipe(path: string): boolean {
  return path === STDIN || statSync(path, { throwIfNoEntry: false })?.isFIFO() === true
}
