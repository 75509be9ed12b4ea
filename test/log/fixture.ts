import { leafHash } from '../../src/merkle/hash.ts'
import { equalBytes } from '../../src/bytes/bytes.ts'
import { decodeHead, type SignedHead } from '../../src/log/head.ts'
import type { Log, LogOptions, LogParts } from '../../src/log/log.ts'
import { beginLog, openLog } from '../../src/log/open.ts'
import { generateLogKeys, keySigner, type LogKeys } from '../../src/instance/keys.ts'
import type { HeadFile } from '../../src/storage/head-file.ts'
import { MemoryLeafIndex } from '../../src/storage/leaf-index.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import type { LogStore } from '../../src/storage/store.ts'
import { referenceRoot } from '../reference/tree.ts'

export const ORIGIN = 'log.example/test'

/** A head file without a disk: what a restart would find in it. */
export class MemoryHeadFile implements HeadFile {
  records: Uint8Array[] = []
  readonly intact = true

  async write(record: Uint8Array): Promise<void> {
    this.records = [record, ...this.records].slice(0, 2)
  }

  async close(): Promise<void> {}
}

/** What outlives a process, in memory: opening it again is a restart. */
export class Disk {
  store = new MemoryStore()
  headFile = new MemoryHeadFile()
  index = new MemoryLeafIndex()
  readonly keys: LogKeys

  constructor(keys: LogKeys) {
    this.keys = keys
  }

  /** The disk of a new log: the signed head of the empty tree in both places. */
  static async create(nowMs = 1000): Promise<Disk> {
    const disk = new Disk(await generateLogKeys(ORIGIN))
    await disk.headFile.write(await beginLog(disk.store, keySigner(ORIGIN, disk.keys), nowMs))
    return disk
  }

  parts(): LogParts {
    const { store, headFile, index, keys } = this
    return { origin: ORIGIN, store: keptOpen(store), headFile, index, signer: keySigner(ORIGIN, keys) }
  }
}

/** Closing a log must not lose a memory store's content. */
function keptOpen(store: LogStore): LogStore {
  return new Proxy(store, {
    get: (target, name) => {
      if (name === 'close') return async () => {}
      const value = Reflect.get(target, name, target) as unknown
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

export const OPTIONS: LogOptions = {
  pool: { maxEntries: 100_000, maxBytes: 1e9, maxCommitEntries: 8192, maxCommitBytes: 1e8 },
  allowDuplicates: false,
  headIntervalMs: 3_600_000,
  cacheBytes: 1_000_000,
  nowMs: () => 5000,
}

export async function openTestLog(disk: Disk, options: Partial<LogOptions> = {}): Promise<Log> {
  return openLog(disk.parts(), { ...OPTIONS, ...options })
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/**
 * Verifies everything that is stored: the head's signatures, each entry against its tile, the root from the entries
 * alone by the slow reference, the head file's heads against the same entries.
 *
 * @returns the entries, as text
 */
export async function checkDisk(disk: Disk): Promise<string[]> {
  const stored = await disk.store.readHead()
  if (!stored) throw new Error('no head')
  const signer = keySigner(ORIGIN, disk.keys)
  const head = decodeHead(stored.record, 'test')
  const entries = await disk.store.readEntries(0, head.size)
  const leaves = entries.map(leafHash)
  const check = (signed: SignedHead): void => {
    signer.verify(signed)
    const root = referenceRoot(leaves.slice(0, signed.size))
    if (!equalBytes(root, signed.root)) throw new Error(`root at size ${signed.size} is not the signed one`)
  }
  check(head)
  for (const record of disk.headFile.records) {
    const kept = decodeHead(record, 'test')
    if (kept.size > head.size) throw new Error(`head file at ${kept.size}, database at ${head.size}`)
    check(kept)
  }
  const tiles = Array.from({ length: Math.floor(head.size / 256) }, (_, index) => ({ level: 0, index }))
  for (const [i, tile] of (await disk.store.readTiles(tiles)).entries()) {
    const expected = Buffer.concat(leaves.slice(i * 256, (i + 1) * 256))
    if (!tile || !expected.equals(tile)) throw new Error(`tile 0/${i} is not what the entries make`)
  }
  return entries.map((entry) => Buffer.from(entry).toString())
}
