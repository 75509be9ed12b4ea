import { readFile, stat } from 'node:fs/promises'
import { SteleError } from '../errors.ts'
import { fileError } from './files.ts'

/**
 * Reads a private key. A key that other users can read is no longer private, so it is refused.
 *
 * @param missing the message, after the path, for a missing key
 * @throws SteleError `key_missing`, `key_permissions`, `io_error`
 */
export async function readKeyFile(
  path: string,
  missing = "the log's private key is not there; put it back from your backup",
): Promise<string> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw fileError(path, error)
    throw new SteleError('key_missing', `${path}: ${missing}`)
  })
  // The lowest nine bits are the permissions. Only the owner's may be set.
  const mode = info.mode % 0o1000
  if (mode % 0o100 !== 0) {
    throw new SteleError(
      'key_permissions',
      `${path}: expected permissions 600, found ${mode.toString(8)}: others than the owner can reach this private ` +
        `key. Run "chmod 600" on it, and consider whether it has leaked`,
    )
  }
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw fileError(path, error)
  })
  return text.trimEnd()
}
