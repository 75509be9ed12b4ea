import { createHmac, timingSafeEqual } from 'node:crypto'
import { concatBytes } from '../bytes/bytes.ts'
import { decodeUtf8, encodeUtf8 } from '../bytes/text.ts'
import { hasCode, SteleError } from '../errors.ts'
import { HASH_BYTES, hashLeafInto } from '../merkle/hash.ts'
import { verifySubtreeConsistency } from '../merkle/verify.ts'
import { formatSignatures } from '../note/note.ts'
import { EMPTY_TREE, growTree } from '../tile/grow.ts'
import { TILE_WIDTH } from '../tile/path.ts'
import type { MirroredLog } from './log.ts'
import {
  type ByteReader,
  CutShort,
  type Package,
  packagePlaces,
  readPackage,
  type UploadHeader,
} from './packages.ts'
import { type LogSigned, openStored } from './signed.ts'

/** What a client needs to go on with an upload (`text/x.tlog.mirror-info`). */
export interface MirrorInfo {
  /** Size of a pending checkpoint that an upload may end at. */
  readonly size: number
  readonly nextEntry: number
  readonly ticket: Uint8Array
}

/** What became of an upload. */
export type Uploaded =
  /** All is here and cosigned: these lines. */
  | { readonly kind: 'cosigned'; readonly lines: string }
  /** Some of it is here now; the rest did not come. */
  | { readonly kind: 'partial'; readonly info: MirrorInfo }
  /** Another range is wanted. */
  | { readonly kind: 'conflict'; readonly info: MirrorInfo }
  /** `stale_size` before any add-checkpoint; `bad_proof`. What was verified before is kept. */
  | { readonly kind: 'refused'; readonly error: SteleError }

/** Concurrent uploaders send the same entries. An overlap larger than one request is a mistake. */
const MOST_OVERLAP = 32 * TILE_WIDTH
/** Verified packages are written together, for each write waits for the disk. */
const GATHER_ENTRIES = 8 * TILE_WIDTH
const GATHER_BYTES = 4 * 1024 * 1024

/** What an upload is of, and what it comes from. */
interface Upload {
  readonly log: MirroredLog
  readonly tickets: Tickets
  readonly header: UploadHeader
  readonly reader: ByteReader
}

/**
 * Receives an upload. Each package is verified before the next one is read, and verified packages are kept however the
 * upload ends.
 *
 * @throws SteleError `malformed` if not a single package arrived complete; `too_slow` likewise; as `MirroredLog.append`
 */
export async function receiveUpload({ log, tickets, header, reader }: Upload): Promise<Uploaded> {
  const pending = log.pending
  if (!pending) {
    const message = `log ${log.origin}: expected an add-checkpoint before, for nothing is known of this log yet`
    return { kind: 'refused', error: new SteleError('stale_size', message) }
  }
  const infoOf = ({ checkpoint, note }: LogSigned): MirrorInfo => {
    return { size: checkpoint.size, nextEntry: log.nextEntry, ticket: tickets.issue(note) }
  }
  const target = targetOf(log, tickets, header)
  if (!target) return { kind: 'conflict', info: infoOf(pending) }
  const start = Number(header.start)
  // An empty range overlaps nothing, at any size of this mirror.
  const isOverlapping = start < target.checkpoint.size && start < log.nextEntry - MOST_OVERLAP
  if (start > log.nextEntry || isOverlapping) return { kind: 'conflict', info: infoOf(target) }
  const end = await receivePackages(log, target, start, reader)
  if (end.kind === 'refused') return end
  if (end.kind === 'partial') return { kind: 'partial', info: infoOf(target) }
  const head = await log.advance(target)
  if (head) return { kind: 'cosigned', lines: formatSignatures(head.ownSignatures) }
  return { kind: 'conflict', info: infoOf(log.pending ?? target) }
}

/** The checkpoint that an upload ends at, if it is or was pending and is not below the mirror checkpoint. */
function targetOf(log: MirroredLog, tickets: Tickets, { end, ticket }: UploadHeader): LogSigned | undefined {
  if (end < BigInt(log.state.mirrored?.checkpoint.size ?? 0)) return undefined
  // No size that is known is above 2^53-1, so what cannot be held exactly is never found.
  const size = Number(end)
  const known = log.signedAt(size)
  if (known) return known
  const note = tickets.redeem(ticket)
  if (note === undefined) return undefined
  const redeemed = openTicket(log, note)
  const isPast = redeemed?.checkpoint.size === size && size <= (log.pending?.checkpoint.size ?? 0)
  return isPast ? redeemed : undefined
}

/** Undefined for a ticket of another log. */
function openTicket(log: MirroredLog, note: string): LogSigned | undefined {
  try {
    // The time when it was pending is not known any more, and is not reported.
    return openStored({ note, seenAtMs: 0, isServed: false }, log.log, 'ticket')
  } catch (error) {
    if (hasCode(error, 'corrupt', 'untrusted_signer')) return undefined
    throw error
  }
}

type Received =
  { readonly kind: 'all' | 'partial' } | { readonly kind: 'refused'; readonly error: SteleError }

async function receivePackages(
  log: MirroredLog,
  target: LogSigned,
  start: number,
  reader: ByteReader,
): Promise<Received> {
  const gathered = new Gathered(log, start)
  let packages = 0
  try {
    for (const place of packagePlaces(start, target.checkpoint.size)) {
      const came = await readPackage(reader, place)
      await verifyPackage(log, gathered, came, target)
      packages++
      await gathered.add(came.entries)
    }
  } catch (error) {
    // Verified content is kept, even if a later part failed.
    await gathered.flush()
    if (hasCode(error, 'bad_proof')) return { kind: 'refused', error }
    const isCut = error instanceof CutShort || hasCode(error, 'too_slow')
    if (isCut && packages > 0) return { kind: 'partial' }
    throw error
  }
  await gathered.flush()
  return { kind: 'all' }
}

/** @throws SteleError `bad_proof` */
async function verifyPackage(
  log: MirroredLog,
  gathered: Gathered,
  { subtreeBegin, begin, end, entries, path }: Package,
  { checkpoint: { size, root } }: LogSigned,
): Promise<void> {
  const slab = new Uint8Array((end - subtreeBegin) * HASH_BYTES)
  if (subtreeBegin < begin) {
    // The proof is of the whole bundle: what stands before the package is here already.
    await gathered.flush()
    const indexes = Array.from({ length: begin - subtreeBegin }, (_, i) => subtreeBegin + i)
    const hashes = await log.reader.leafHashes(indexes)
    hashes.forEach((hash, i) => slab.set(hash!, i * HASH_BYTES))
  }
  entries.forEach((entry, i) => hashLeafInto(slab, (begin - subtreeBegin + i) * HASH_BYTES, entry))
  const nodeHash = growTree(EMPTY_TREE, slab).tree.root
  verifySubtreeConsistency({ start: subtreeBegin, end, size, nodeHash, path, root })
}

/** Verified entries that are not written yet. Owner of where they begin. */
class Gathered {
  readonly #log: MirroredLog
  #begin: number
  #entries: Uint8Array[] = []
  #bytes = 0

  constructor(log: MirroredLog, begin: number) {
    this.#log = log
    this.#begin = begin
  }

  async add(entries: readonly Uint8Array[]): Promise<void> {
    for (const entry of entries) {
      this.#entries.push(entry)
      this.#bytes += entry.length
    }
    if (this.#entries.length >= GATHER_ENTRIES || this.#bytes >= GATHER_BYTES) await this.flush()
  }

  async flush(): Promise<void> {
    const [begin, entries] = [this.#begin, this.#entries]
    this.#begin += entries.length
    this.#entries = []
    this.#bytes = 0
    if (entries.length > 0) await this.#log.append(begin, entries)
  }
}

/** Bytes of the secret that tickets are made with. */
export const TICKET_KEY_BYTES = 32
const TAG_BYTES = 32
/** A ticket travels with its length in 16 bits. */
const MAX_TICKET_BYTES = 65_535
/** The key authenticates nothing but tickets; the label ensures that. */
const LABEL = encodeUtf8('stele mirror ticket 1\n')

/**
 * Tickets by which a mirror recognises a checkpoint that was pending once and that it may have forgotten: the signed
 * note after an HMAC-SHA-256. A ticket is not secret, since the note is not, but only the mirror can make one.
 */
export class Tickets {
  readonly #key: Uint8Array

  /** @param key {@link TICKET_KEY_BYTES} random bytes, kept from start to start */
  constructor(key: Uint8Array) {
    this.#key = key
  }

  /** A ticket for a note that is or was pending; empty for one too long to travel. */
  issue(note: string): Uint8Array {
    const bytes = encodeUtf8(note)
    if (TAG_BYTES + bytes.length > MAX_TICKET_BYTES) return new Uint8Array(0)
    return concatBytes(this.#tag(bytes), bytes)
  }

  /** The note of a ticket that was issued with this key; undefined for anything else. */
  redeem(ticket: Uint8Array): string | undefined {
    if (ticket.length <= TAG_BYTES) return undefined
    const bytes = ticket.subarray(TAG_BYTES)
    if (!timingSafeEqual(ticket.subarray(0, TAG_BYTES), this.#tag(bytes))) return undefined
    return decodeUtf8(bytes, 'ticket')
  }

  #tag(bytes: Uint8Array): Uint8Array {
    return createHmac('sha256', this.#key).update(LABEL).update(bytes).digest()
  }
}
