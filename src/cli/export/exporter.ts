import { equalBytes } from '../../bytes/bytes.ts'
import { readEntries, VerifiedTiles, type LogFiles, type VerifierKey } from '../../client/index.ts'
import { inOrder } from '../../client/ordered.ts'
import { decodeUtf8 } from '../../bytes/text.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { HASH_BYTES, hashLeafInto } from '../../merkle/hash.ts'
import { openCheckpoint, type Checkpoint, type LogIdentity } from '../../note/checkpoint.ts'
import { decodeBundle, encodeBundle } from '../../tile/bundle.ts'
import { tilesAt } from '../../tile/layout.ts'
import { formatBundlePath, formatTilePath, type TileId } from '../../tile/path.ts'
import { rootAt } from '../../tile/prove.ts'
import type { ExportTarget } from './target.ts'

const FULL = 256
const AT_A_TIME = 8

/** Source, keys and target of an export. */
export interface ExportOptions {
  readonly files: LogFiles
  readonly origin: string
  /** All keys that ever signed for the log. */
  readonly verifierKeys: readonly VerifierKey[]
  readonly target: ExportTarget
  /** Further files, written before the checkpoint. */
  readonly beside?: FilesBeside
  readonly onProgress: (done: number, total: number) => void
}

/** The files that belong to one checkpoint. They become valid together, with the last of them. */
export interface FilesBeside {
  readonly files: readonly FileBeside[]
  /** Where a copy of the checkpoint goes. */
  readonly checkpoint: string
  /** Makes these files valid, and those of earlier checkpoints invalid. */
  readonly selector: FileBeside
  /** Whether a file of the target is then obsolete. */
  isSuperseded(name: string): boolean
}

/** A file that is not part of the log, for example a description. */
export interface FileBeside {
  readonly path: string
  readonly bytes: string | Uint8Array
  /** Permissions, if not the default. */
  readonly mode?: number
}

/** The result of an export. */
export interface Exported {
  readonly checkpoint: Checkpoint
  /** Number of tiles and bundles written, and their bytes. */
  readonly written: number
  readonly bytes: number
  /** Number of files of an earlier export that were kept. */
  readonly kept: number
}

/**
 * Writes a log as static files (c2sp.org/tlog-tiles): bundles, then tiles, all durable before the checkpoint that
 * covers them. Everything is verified before it is written. Files of an earlier or interrupted export are kept. They
 * are checked first, unless the folder's own checkpoint covers them.
 *
 * @throws SteleError `rolled_back`, `fork` if the folder's checkpoint and the log's contradict each other; as
 *   `VerifiedTiles`; `io_error`
 */
export async function exportLog(options: ExportOptions): Promise<Exported> {
  const { files, origin, verifierKeys, target, beside } = options
  const log = { origin, verifiers: verifierKeys }
  const note = await files.checkpoint()
  const { checkpoint } = openCheckpoint(note, log)
  const before = await earlierCheckpoint(target, log)
  const exporter = new Exporter(options, checkpoint, before?.size ?? 0)
  if (before) await exporter.checkExtends(before)
  await exporter.run()
  await target.sync()
  if (beside) await writeBeside(target, beside, note)
  // The checkpoint comes last: a reader that finds it finds everything that it covers.
  await target.write('checkpoint', note)
  await target.sync()
  if (beside) await removeSuperseded(target, beside)
  const { written, bytes, kept } = exporter
  return { checkpoint, written, bytes, kept }
}

async function writeBeside(
  target: ExportTarget,
  { files, checkpoint, selector }: FilesBeside,
  note: string,
): Promise<void> {
  for (const { path, bytes, mode } of files) await target.write(path, bytes, mode)
  await target.write(checkpoint, note)
  await target.sync()
  await target.write(selector.path, selector.bytes, selector.mode)
  await target.sync()
}

/** Files that cannot be removed now are removed by the next run. */
async function removeSuperseded(target: ExportTarget, beside: FilesBeside): Promise<void> {
  for (const name of await target.list().catch(() => [])) {
    if (beside.isSuperseded(name)) await target.remove(name).catch(() => undefined)
  }
}

async function earlierCheckpoint(target: ExportTarget, log: LogIdentity): Promise<Checkpoint | undefined> {
  const note = await target.read('checkpoint')
  if (note === undefined) return undefined
  try {
    return openCheckpoint(decodeUtf8(note, 'checkpoint'), log).checkpoint
  } catch (error) {
    if (!(error instanceof SteleError)) throw error
    throw new SteleError(error.code, `${target.name}: it contains another export: ${error.message}`, {
      cause: error,
    })
  }
}

/** Owns the files of one export. */
class Exporter {
  kept = 0
  bytes = 0
  readonly #written = new Set<string>()
  readonly #options: ExportOptions
  readonly #head: Checkpoint
  readonly #tiles: VerifiedTiles
  /** Leaves below this index are covered by the target's own checkpoint. */
  readonly #covered: number

  constructor(options: ExportOptions, head: Checkpoint, covered: number) {
    this.#options = options
    this.#head = head
    this.#covered = covered
    this.#tiles = new VerifiedTiles(options.files, head, {
      // Tiles of an earlier, interrupted run. The caller verifies them.
      get: (path) => this.#found(path),
      set: (path, bytes) => this.#write(path, bytes),
    })
  }

  async checkExtends(before: Checkpoint): Promise<void> {
    const { size } = this.#head
    const { name } = this.#options.target
    if (before.size > size) {
      throw new SteleError(
        'rolled_back',
        `${name}: its checkpoint is of size ${before.size}, the log's of size ${size}; nothing was changed`,
      )
    }
    const root = before.size === size ? this.#head.root : await rootAt(this.#tiles, before.size)
    if (equalBytes(root, before.root)) return
    throw new SteleError(
      'fork',
      `${name}: the log does not extend what was exported at size ${before.size}: keep both, they are evidence`,
    )
  }

  async run(): Promise<void> {
    const bundles = Array.from({ length: Math.ceil(this.#head.size / FULL) }, (_, index) => index)
    const tiles = [...tilesAt(this.#head.size)]
    const total = bundles.length + tiles.length
    let done = 0
    for await (const _ of inOrder(bundles, AT_A_TIME, (index) => this.#exportBundle(index))) {
      this.#options.onProgress(++done, total)
    }
    for await (const _ of inOrder(tiles, AT_A_TIME, (tile) => this.#exportTile(tile))) {
      this.#options.onProgress(++done, total)
    }
  }

  get written(): number {
    return this.#written.size
  }

  async #write(path: string, bytes: Uint8Array): Promise<void> {
    // A tile that was dropped from memory is read again, with the same result.
    if (this.#written.has(path)) return
    this.#written.add(path)
    this.bytes += bytes.length
    await this.#options.target.write(path, bytes)
  }

  /** A readable file of an earlier run. It is verified before it is used. */
  #found(path: string): Promise<Uint8Array | undefined> {
    return this.#options.target.read(path).catch(() => undefined)
  }

  async #exportBundle(index: number): Promise<void> {
    const { files } = this.#options
    const begin = index * FULL
    const end = Math.min(begin + FULL, this.#head.size)
    const path = formatBundlePath(index, end - begin)
    if (this.#isCovered(path, end) || (await this.#isWhole(path, index, end - begin))) return void this.kept++
    const entries: Uint8Array[] = []
    for await (const { entry } of readEntries(files, this.#tiles, begin, end)) entries.push(entry)
    await this.#write(path, encodeBundle(entries))
  }

  async #exportTile(tile: TileId): Promise<void> {
    const path = formatTilePath(tile)
    const end = (tile.index * FULL + tile.width) * FULL ** tile.level
    if (this.#isCovered(path, end)) return void this.kept++
    const [hashes] = await this.#tiles.readTiles([tile])
    // Full tiles were written when they were first read, or the folder had them.
    if (tile.width < FULL) await this.#write(path, hashes!.bytes.subarray(0, tile.width * HASH_BYTES))
    else if (!this.#written.has(path)) this.kept++
  }

  #isCovered(path: string, end: number): boolean {
    return end <= this.#covered && this.#options.target.has(path)
  }

  /** True if an interrupted run left this bundle with the right entries. */
  async #isWhole(path: string, index: number, width: number): Promise<boolean> {
    const bytes = await this.#found(path)
    if (!bytes) return false
    try {
      const slab = new Uint8Array(width * HASH_BYTES)
      decodeBundle(bytes, width).forEach((entry, i) => hashLeafInto(slab, i * HASH_BYTES, entry))
      return await this.#tiles.holdsLeaves(index, slab)
    } catch (error) {
      if (hasCode(error, 'malformed')) return false
      throw error
    }
  }
}
