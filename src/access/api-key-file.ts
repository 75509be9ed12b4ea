import { hasCode, SteleError } from '../errors.ts'
import { readKeyFile } from '../storage/key-file.ts'

/**
 * The longest credentials. API keys have 90 characters; tokens of a provider, which some servers accept too, a few
 * thousand.
 */
const MAX_CHARACTERS = 16_384

/**
 * Reads an API key from a file that only its owner may read.
 *
 * @throws SteleError `key_permissions`, `io_error`; `usage` if it is not a key. No message quotes the file's content
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
 * Refuses text that cannot be sent in a header: the platform's error would quote it, secret included.
 *
 * @param where it was found, for the message
 * @throws SteleError `usage`
 */
export function checkedApiKey(text: string, where: string): string {
  const key = text.trim()
  if (/^[!-~]+$/.test(key) && key.length <= MAX_CHARACTERS) return key
  throw new SteleError('usage', `${where}: expected an API key: one line of ASCII without spaces`)
}

/** The header that carries a key. */
export function withApiKey(key: string | undefined): Readonly<Record<string, string>> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` }
}
