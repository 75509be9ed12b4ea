import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { AuditedStretch } from '../../client/audit-finding.ts'
import { auditLog } from '../../client/audit.ts'
import type { LogFiles } from '../../client/http-files.ts'
import { hasCode, SteleError } from '../../errors.ts'
import { decodeHead, type SignedHead } from '../../log/head.ts'
import type { LogIdentity } from '../../note/checkpoint.ts'
import { readHeadFile } from '../../storage/head-file.ts'
import type { LevelStore } from '../../storage/level.ts'
import { TILE_WIDTH } from '../../tile/path.ts'
import { readEnd } from '../backup/description.ts'
import { PATIENCE_MS } from '../context.ts'
import { type Headers, openMirror } from './ask-witnesses.ts'
import type { EndingWitness } from './head.ts'
import { openSeen, type SeenHead } from './seen.ts'

/** Bytes of one synced write: large enough to make syncing cheap, small enough for memory. */
const STEP_BYTES = 4 * 1024 * 1024
const STEP_ENTRIES = 16_384

/**
 * Reads a whole log into an empty store. Every entry and every tile is hashed and compared while it is read, and all of
 * them with the signed checkpoint. Memory does not grow with the log.
 *
 * @param name of the source, for messages
 * @throws SteleError `corrupt` naming the first missing or wrong entry or file; as `auditLog`
 */
export async function fillStore(
  store: LevelStore,
  name: string,
  files: LogFiles,
  log: LogIdentity,
  onProgress: (entries: number, size: number) => void,
): Promise<void> {
  const loader = new Loader(store)
  const report = await auditLog(files, {
    origin: log.origin,
    verifierKeys: log.verifiers,
    onStretch: (stretch) => loader.add(stretch),
    onProgress: ({ entries, size }) => onProgress(entries, size),
  })
  if (report.finding) {
    throw new SteleError('corrupt', `${name}: ${report.finding.message}. Nothing was restored`)
  }
  await loader.flush()
}

/** Collects ranges into write steps. */
class Loader {
  readonly #store: LevelStore
  #stretches: AuditedStretch[] = []
  #entries = 0
  #bytes = 0

  constructor(store: LevelStore) {
    this.#store = store
  }

  async add(stretch: AuditedStretch): Promise<void> {
    this.#stretches.push(stretch)
    this.#entries += stretch.entries.length
    this.#bytes += stretch.entries.reduce((sum, entry) => sum + entry.length, 0)
    if (this.#bytes >= STEP_BYTES || this.#entries >= STEP_ENTRIES) await this.flush()
  }

  async flush(): Promise<void> {
    const [first] = this.#stretches
    if (!first) return
    const entries = this.#stretches.flatMap((stretch) => stretch.entries)
    const tiles = this.#stretches.flatMap((stretch) => stretch.tiles)
    this.#stretches = []
    this.#entries = 0
    this.#bytes = 0
    await this.#store.load({ from: first.from, entries, tiles })
  }
}

/**
 * Combines a backup with a larger copy: full files that the backup's checkpoint covers are read from the backup, all
 * others from the copy. Every byte is verified against the larger head.
 */
export class CatchUpFiles implements LogFiles {
  readonly #backup: LogFiles
  readonly #size: number
  readonly #more: LogFiles
  readonly #note: string

  /**
   * @param size of the backup's checkpoint
   * @param note the larger checkpoint
   */
  constructor(backup: LogFiles, size: number, more: LogFiles, note: string) {
    this.#backup = backup
    this.#size = size
    this.#more = more
    this.#note = note
  }

  async checkpoint(): Promise<string> {
    return this.#note
  }

  tile(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const files = this.#has((index + 1) * TILE_WIDTH ** (level + 1), width) ? this.#backup : this.#more
    return files.tile(level, index, width)
  }

  bundle(index: number, width: number): Promise<Uint8Array | undefined> {
    const files = this.#has((index + 1) * TILE_WIDTH, width) ? this.#backup : this.#more
    return files.bundle(index, width)
  }

  #has(end: number, width: number): boolean {
    return width === TILE_WIDTH && end <= this.#size
  }
}

/** The heads of the log that the operator knows of. */
export interface SeenOptions {
  readonly headFile?: readonly string[]
  readonly seen?: readonly string[]
  readonly mirror?: readonly string[]
}

/** Heads that were seen, and known times of signing. */
interface Gathered {
  readonly seen: readonly SeenHead[]
  readonly signedAtMs: readonly number[]
  /** Heads that say that the log has ended. */
  readonly endings: readonly EndingWitness[]
}

/**
 * Reads the known heads of a log: head files, kept checkpoints, mirrors, and the published head of the backup.
 *
 * @param former the log's previous head file, which may have survived the loss of the log
 * @param published the record in the backup, if it has one
 * @param headers for mirrors that require a key
 * @throws SteleError for a head that cannot be read or is not signed by the log, since it may be the newest one
 */
export async function gatherSeen(
  log: LogIdentity,
  { headFile = [], seen = [], mirror = [] }: SeenOptions,
  former: string | undefined,
  published: Uint8Array | undefined,
  headers: Headers,
): Promise<Gathered> {
  const paths = [...headFile, ...(former !== undefined && existsSync(former) ? [former] : [])]
  const heads: { source: string; head: SignedHead }[] = []
  for (const path of paths) {
    for (const head of await headsOf(path)) heads.push({ source: `head file ${path}`, head })
  }
  if (published) {
    const source = 'the published head of the backup'
    heads.push({ source, head: decodeHead(published, source) })
  }
  const all = heads.map(({ source, head }) => openSeen(source, head.checkpoint, log))
  for (const path of seen) all.push(openSeen(path, await readNote(path), log))
  const endings: EndingWitness[] = heads.flatMap(({ source, head: { final } }) => {
    return final ? [{ source, ending: { frozen: true as const, ...final } }] : []
  })
  for (const url of mirror) {
    const { files, note } = await openMirror(url, PATIENCE_MS, headers)
    all.push(openSeen(url, note, log, files))
    const ending = await readEnd(url, log.origin, headers)
    if (ending) endings.push({ source: url, ending })
  }
  return { seen: all, signedAtMs: heads.map(({ head }) => head.timestampMs), endings }
}

async function headsOf(path: string): Promise<SignedHead[]> {
  const file = await readHeadFile(path).catch((error: unknown) => {
    if (!hasCode(error, 'head_missing')) throw error
    throw new SteleError('not_found', `--head-file ${path}: there is no such file`, { cause: error })
  })
  return file.records.map((record) => decodeHead(record, path))
}

async function readNote(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: Error) => {
    throw new SteleError('io_error', `--seen ${path}: ${error.message}`, { cause: error })
  })
}
