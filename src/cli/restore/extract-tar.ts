import { createReadStream } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { extract, type Extract } from 'tar-stream'
import { hasCode, SteleError } from '../../errors.ts'
import { MAX_ENTRY_BYTES } from '../../tile/bundle.ts'
import { parseTilePath, TILE_WIDTH } from '../../tile/path.ts'
import { BACKUP_FILES, isOfGeneration, KEY_FILE } from '../backup/description.ts'

type Entry = Extract extends AsyncIterable<infer Item> ? Item : never

const BESIDE: readonly string[] = Object.values(BACKUP_FILES)
/** The largest bundle, which is the largest possible file. */
const MAX_FILE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)

/**
 * Unpacks a backup from a tar file. Names that a backup does not have are skipped, so nothing is written outside of the
 * folder.
 *
 * @throws SteleError `corrupt` for a truncated or invalid tar file; `io_error`
 */
export async function extractTar(path: string, folder: string): Promise<void> {
  const entries = extract()
  // The error reaches the reader of the entries, since the stream is destroyed.
  const reading = pipeline(createReadStream(path), entries)
  reading.catch(() => undefined)
  let complete = false
  try {
    for await (const entry of entries) complete = (await unpack(entry, folder)) || complete
    await reading
  } catch (error) {
    if (error instanceof SteleError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    throw new SteleError(
      code === undefined ? 'corrupt' : 'io_error',
      `${path}: ${code === undefined ? `expected a whole tar file: ${message}` : message}`,
      { cause: error },
    )
  }
  if (complete) return
  throw new SteleError(
    'corrupt',
    `${path}: it is truncated: the checkpoint, which is the last file, is missing`,
  )
}

/** @returns true for the checkpoint */
async function unpack(entry: Entry, folder: string): Promise<boolean> {
  const { name, size, type } = entry.header
  const path = name.replace(/^\.\//, '')
  if (type !== 'file' || !belongs(path)) {
    entry.resume()
    return false
  }
  if (size > MAX_FILE_BYTES) throw new SteleError('corrupt', `tar: ${path} has ${size} bytes`)
  const parts: Buffer[] = []
  for await (const part of entry as AsyncIterable<Buffer>) parts.push(part)
  const secret = path === BACKUP_FILES.treeHeadKey || KEY_FILE.test(path)
  await mkdir(dirname(join(folder, path)), { recursive: true })
  await writeFile(join(folder, path), Buffer.concat(parts), { mode: secret ? 0o600 : 0o644 })
  return path === 'checkpoint'
}

function belongs(path: string): boolean {
  if (BESIDE.includes(path) || isOfGeneration(path) || KEY_FILE.test(path)) return true
  try {
    parseTilePath(path)
    return true
  } catch (error) {
    if (hasCode(error, 'malformed', 'out_of_range')) return false
    throw error
  }
}
