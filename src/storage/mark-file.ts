import { constants } from 'node:fs'
import { open } from 'node:fs/promises'

/**
 * Writes over a file in place, without waiting for the disk: whoever reads it in a later process sees it, whoever reads it
 * after a power cut may not. Bytes as many as are there already need no room.
 *
 * @throws what the file system says
 */
export async function overwriteFile(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    await file.write(bytes, 0, bytes.length, 0)
  } finally {
    await file.close()
  }
}
