import { statSync } from 'node:fs'
import { SteleError } from '../../errors.ts'
import type { Io } from '../io.ts'
import { readInput, STDIN } from './input.ts'

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
