import { existsSync, statSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { HttpFiles, type LogFiles } from '../../client/http-files.ts'
import { SteleError } from '../../errors.ts'
import { readKeyFile } from '../../storage/key-file.ts'
import {
  BACKUP_FILES,
  type BackupDescription,
  type EndingState,
  nameIn,
  parseDescription,
  readEnd,
  withCheckpoint,
} from '../backup/description.ts'
import { PATIENCE_MS } from '../context.ts'
import { FolderFiles } from '../files/folder-files.ts'
import type { Headers } from './ask-witnesses.ts'

/** The source of a restore. Nothing from it is verified. */
export interface RestoreSource {
  /** The name of the source, for messages. */
  readonly name: string
  readonly files: LogFiles
  /** The description in a backup; undefined for a source that only has tiles. */
  readonly description: BackupDescription | undefined
  /** Whether the log has ended, as of the head that was read before; undefined if the source does not say. */
  ending(origin: string): Promise<EndingState | undefined>
  /** A file beside the tiles, if it exists. */
  beside(path: string): Promise<Uint8Array | undefined>
  /** A private key in the backup, if it has it. @throws SteleError `key_permissions` */
  key(path: string): Promise<string | undefined>
  close(): Promise<void>
}

/**
 * Opens the source of a restore: a backup's folder or the folder above it, a tar file, or the URL of any tlog-tiles
 * log.
 *
 * @param data the data folder, into which a tar file is unpacked until the source is closed
 * @param headers for a URL that requires a key
 * @throws SteleError `not_found`, `corrupt`, `io_error`
 */
export async function openRestoreSource(
  from: string,
  log: string,
  data: string,
  headers: Headers,
): Promise<RestoreSource> {
  if (/^https?:\/\//.test(from)) return urlSource(from, headers)
  if (existsSync(from) && statSync(from).isFile()) {
    return tarSource(from, join(data, 'logs', `.unpacked-${log}-${randomBytes(4).toString('hex')}`))
  }
  for (const folder of [from, join(from, log)]) {
    if (existsSync(join(folder, 'checkpoint'))) return folderSource(folder, folder)
  }
  throw new SteleError(
    'not_found',
    `${from}: expected a URL, a tar file, or a folder with a file "checkpoint" in it: without it a backup was never ` +
      `complete`,
  )
}

function urlSource(url: string, headers: Headers): RestoreSource {
  return {
    name: url,
    files: new HttpFiles(url, { headers }, { deadlineMs: PATIENCE_MS }),
    description: undefined,
    ending: (origin) => readEnd(url, origin, headers),
    beside: async () => undefined,
    key: async () => undefined,
    close: async () => {},
  }
}

async function tarSource(path: string, folder: string): Promise<RestoreSource> {
  const { extractTar } = await import('./extract-tar.ts')
  const remove = (): Promise<void> => rm(folder, { recursive: true, force: true })
  try {
    await mkdir(folder, { mode: 0o700 })
    await extractTar(path, folder)
    return { ...(await folderSource(path, folder)), close: remove }
  } catch (error) {
    await remove()
    throw error
  }
}

async function folderSource(name: string, folder: string): Promise<RestoreSource> {
  const beside = async (path: string): Promise<Uint8Array | undefined> => {
    if (!existsSync(join(folder, path))) return undefined
    return readFile(join(folder, path)).catch((error: Error) => {
      throw new SteleError('io_error', `${join(name, path)}: ${error.message}`, { cause: error })
    })
  }
  const text = await beside(BACKUP_FILES.description)
  const description =
    text === undefined
      ? undefined
      : parseDescription(Buffer.from(text).toString(), join(name, BACKUP_FILES.description))
  const generation = description?.generation
  const inGeneration = (path: string): Promise<Uint8Array | undefined> => beside(nameIn(generation, path))
  const files = new FolderFiles(folder)
  const note = generation === undefined ? undefined : await inGeneration(BACKUP_FILES.checkpoint)
  if (generation !== undefined && !note) {
    throw new SteleError('corrupt', `${join(name, nameIn(generation, 'checkpoint'))}: it is missing`)
  }
  return {
    name,
    files: note ? withCheckpoint(files, Buffer.from(note).toString()) : files,
    description,
    ending: async () => description?.ending,
    beside: inGeneration,
    key: async (path) => (existsSync(join(folder, path)) ? readKeyFile(join(folder, path)) : undefined),
    close: async () => {},
  }
}
