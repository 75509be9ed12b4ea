import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { replaceFile, syncFolder, writeNewFile } from '../../storage/files.ts'

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
