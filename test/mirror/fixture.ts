import { putUint16 } from '../../src/bytes/integer.ts'
import { concatBytes } from '../../src/bytes/bytes.ts'
import { encodeUtf8 } from '../../src/bytes/text.ts'
import type { MirroredLog, MirroredLogParts } from '../../src/mirror/log.ts'
import { Mirror } from '../../src/mirror/mirror.ts'
import { createMirrorStore, openMirroredLog } from '../../src/mirror/open.ts'
import { encodeCount } from '../../src/mirror/record.ts'
import { packagePlaces } from '../../src/mirror/packages.ts'
import { Tickets } from '../../src/mirror/upload.ts'
import { generateCosignerKey } from '../../src/note/cosigner.ts'
import { KEY_TYPE } from '../../src/note/key-id.ts'
import type { HeadFile } from '../../src/storage/head-file.ts'
import { MemoryStore } from '../../src/storage/memory.ts'
import { TileHashes } from '../../src/tile/hashes.ts'
import { proveConsistency, proveSubtree, rootAt, type TileSource } from '../../src/tile/prove.ts'
import type { WitnessedLog } from '../../src/witness/logs.ts'
import { formatAddCheckpoint } from '../../src/note/add-checkpoint.ts'
import type { FakeLog } from '../client/fake-log.ts'
import { MemoryEvidence, NOW_SECONDS } from '../witness/fixture.ts'

export const MIRROR_KEY = generateCosignerKey(
  'mirror.example/m1',
  KEY_TYPE.ed25519Cosignature,
  new Uint8Array(32).fill(5),
)

/** A mirror over memory, with what it kept and said. */
export interface TestMirror {
  readonly mirror: Mirror
  readonly log: MirroredLog
  readonly parts: MirroredLogParts
  readonly evidence: MemoryEvidence
  readonly clock: { seconds: number }
  readonly told: [kind: string, kept: string][]
}

export function asMirrored({ origin, key }: Pick<FakeLog, 'origin' | 'key'>): WitnessedLog {
  return { origin, keys: [key.verifier] }
}

/** A mirror of one log, of which it knows nothing yet. */
export async function testMirror(
  log: WitnessedLog,
  replaced: Partial<MirroredLogParts> = {},
): Promise<TestMirror> {
  const clock = { seconds: NOW_SECONDS }
  const store = new MemoryStore()
  await createMirrorStore(store)
  const parts: MirroredLogParts = {
    log,
    keys: [MIRROR_KEY],
    store,
    headFile: new MemoryHeadFile(),
    nowMs: () => clock.seconds * 1000,
    cacheBytes: 1024 * 1024,
    ...replaced,
  }
  return { ...(await mirrorOf(parts)), clock }
}

/** A mirror of parts that hold something already. */
export async function mirrorOf(parts: MirroredLogParts): Promise<Omit<TestMirror, 'clock'>> {
  const log = await openMirroredLog(parts)
  const evidence = new MemoryEvidence()
  const told: [string, string][] = []
  const mirror = new Mirror({
    logs: [log],
    keys: parts.keys,
    tickets: new Tickets(new Uint8Array(32).fill(7)),
    evidence,
    events: {
      contradiction: (found, kept) => told.push([found.kind, typeof kept === 'string' ? kept : kept.code]),
    },
    nowMs: parts.nowMs,
  })
  return { mirror, log, parts, evidence, told }
}

/** A head file without a disk. */
export class MemoryHeadFile implements HeadFile {
  records: Uint8Array[] = [encodeCount(0)]
  readonly intact = true

  async write(record: Uint8Array): Promise<void> {
    this.records = [record, ...this.records].slice(0, 2)
  }

  async close(): Promise<void> {}
}

/** The tiles of a log in memory. */
export function tilesOf(log: FakeLog): TileSource {
  return { readTiles: async (tiles) => tiles.map((tile) => new TileHashes(log.tile(tile)!)) }
}

/** A signed checkpoint of an earlier size. */
export async function checkpointAt(log: FakeLog, size: number): Promise<string> {
  return log.sign({ size, root: await rootAt(tilesOf(log), size) })
}

/** The body of an honest `add-checkpoint`. */
export async function checkpointBody(log: FakeLog, oldSize: number, size: number): Promise<Uint8Array> {
  const path = oldSize === 0 ? [] : await proveConsistency(tilesOf(log), oldSize, size)
  return encodeUtf8(formatAddCheckpoint(oldSize, path, await checkpointAt(log, size)))
}

export interface UploadBody {
  readonly origin?: string
  readonly start?: number | bigint
  readonly end: number | bigint
  readonly ticket?: Uint8Array
  /** How many packages; all by default. */
  readonly packages?: number
}

/** The body of an honest `add-entries`. */
export async function uploadBody(
  log: FakeLog,
  { origin = log.origin, start = 0, end, ticket = new Uint8Array(0), packages = Infinity }: UploadBody,
): Promise<Uint8Array> {
  const header = headerOf(origin, BigInt(start), BigInt(end), ticket)
  const parts = [header]
  if (BigInt(end) > BigInt(log.tree.size)) return header
  for (const { subtreeBegin, begin, end: packageEnd } of packagePlaces(Number(start), Number(end))) {
    if (packages-- <= 0) break
    const path = await proveSubtree(tilesOf(log), subtreeBegin, packageEnd, Number(end))
    for (const entry of log.entries.slice(begin, packageEnd)) parts.push(sized(entry))
    parts.push(Uint8Array.of(path.length), ...path)
  }
  return concatBytes(...parts)
}

export function headerOf(
  origin: string,
  start: bigint,
  end: bigint,
  ticket: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const range = new Uint8Array(16)
  const view = new DataView(range.buffer)
  view.setBigUint64(0, start)
  view.setBigUint64(8, end)
  return concatBytes(sized(encodeUtf8(origin)), range, sized(ticket))
}

export function sized(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(2)
  putUint16(length, 0, bytes.length)
  return concatBytes(length, bytes)
}
