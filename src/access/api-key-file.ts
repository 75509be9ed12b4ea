import { hasCode, SteleError } from '../errors.ts'
import { readKeyFile } from '../storage/key-file.ts'

/** API keys have 90 characters; tokens of a provider, which some servers take as well, up to a few thousand. */
const MAX_CHARACTERS = 16_384

/**
 * An API key, from a file that nobody but its owner can reach.
 *
 * @throws SteleError `key_permissions`, `io_error`; `usage` for what is no key. No message quotes what the file holds
 */
export async function readApiKeyFile(path: string): Promise<string> {
  try {
    return checkedApiKey(await readKeyFile(path), path)
  } catch (error) {
    if (!hasCode(error, 'key_missing')) throw error
    throw new SteleError('io_error', `${path}: there is no such file`, { cause: error })
  }
}

/**
 * Refuses what could not be sent as a key: the platform would quote it, secret and all, as it refuses the header.
 *
 * @param where it was found, for the message
 * @throws SteleError `usage`
 */
export function checkedApiKey(text: string, where: string): string {
  const key = text.trim()
  if (/^[!-~]+$/.test(key) && key.length <= MAX_CHARACTERS) return key
  throw new SteleError('usage', `${where}: expected an API key: one line of ASCII without spaces`)
}

/** What requests with a key carry. */
export function withApiKey(key: string | undefined): Readonly<Record<string, string>> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` }
}
