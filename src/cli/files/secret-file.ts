import { statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SteleError } from '../../errors.ts'
import { replaceFile, syncFolder, writeNewFile } from '../../storage/files.ts'
import type { Io } from '../io.ts'
import { readInput, STDIN } from './input.ts'

/**
 * The file of the provisioning key in the data folder, used when there is no terminal to show it on. The server never
 * serves it.
 */
export const PROVISIONING_KEY_FILE = 'provisioning.key'
/** The file of the first writer key, likewise. */
export const WRITER_KEY_FILE = 'writer.key'

/** The option of commands that print only a key. */
export const KEY_OUT = [
  '-o, --out <file>',
  'write the key to a new file of mode 600 instead of standard output',
] as const

/**
 * Makes a key and stores it in a new file that only its owner can read. The file is created first, so that a key is
 * made only if it can be stored.
 *
 * @param path undefined to store the key nowhere
 * @throws SteleError `already_exists` if the file exists, `io_error`; errors of `make`, after which the file is removed
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

/** As {@link keepKey}, for an existing key and a writable folder. */
export async function writeKey(path: string, key: string): Promise<void> {
  await writeNewFile(path, `${key}\n`, 0o600)
  await syncFolder(dirname(path))
}

/** Help text for commands whose URLs may belong to other operators. */
export const COPIES_HELP = `
Other operators may run a URL's server, so only the API key of --api-key-file is sent there, never STELE_API_KEY.
`

/**
 * Reads the API key that a flag names: a file that only its owner can read, a pipe, or `-` for standard input.
 *
 * @throws SteleError `io_error`, `key_permissions`; `usage` for an invalid key
 */
export async function apiKeyOf(path: string, io: Io): Promise<string> {
  const { checkedApiKey, readApiKeyFile } = await import('../../access/api-key-file.ts')
  if (!isPipe(path)) return readApiKeyFile(path)
  return checkedApiKey(Buffer.from(await readInput(path, io)).toString(), path)
}

/** Checks that all URLs are of one server, since an API key is for one server. @throws SteleError `usage` */
export function checkOneServer(targets: readonly (string | undefined)[]): void {
  const urls = targets.filter(
    (target) => target !== undefined && /^https?:/.test(target) && URL.canParse(target),
  )
  const servers = new Set(urls.map((url) => new URL(url!).origin))
  if (servers.size <= 1) return
  throw new SteleError(
    'usage',
    `--api-key-file: the key would be sent to all of these URLs; expected URLs of one server, got ${[...servers].join(', ')}`,
  )
}

/** A pipe has no meaningful permissions. */
function isPipe(path: string): boolean {
  return path === STDIN || statSync(path, { throwIfNoEntry: false })?.isFIFO() === true
}
