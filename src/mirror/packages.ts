import { excerpt } from '../bytes/excerpt.ts'
import { decodeUtf8 } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { asHash, type Hash, HASH_BYTES } from '../merkle/hash.ts'
import { TILE_WIDTH } from '../tile/path.ts'

/** Most hashes of a package's proof (c2sp.org/tlog-mirror): enough for trees of 2^63 leaves. */
const MAX_HASHES = 63

/** Most bytes of one package: 256 of the longest entries, the number of hashes, and the hashes. */
export const MAX_PACKAGE_BYTES = TILE_WIDTH * (2 + 65_535) + 1 + MAX_HASHES * HASH_BYTES

/** The header of an `add-entries`. Sizes have 64 bits and are compared with known sizes. */
export interface UploadHeader {
  readonly origin: string
  readonly start: bigint
  readonly end: bigint
  readonly ticket: Uint8Array
}

/** Which entries a package has, and the subtree that its proof is about. */
interface PackagePlace {
  /** `begin` rounded down to a multiple of 256. */
  readonly subtreeBegin: number
  readonly begin: number
  /** At most 256 above `subtreeBegin`. */
  readonly end: number
}

/** A package as it arrived, unverified. */
export interface Package extends PackagePlace {
  readonly entries: readonly Uint8Array[]
  readonly path: readonly Hash[]
}

/** Reads the head of an upload. @throws SteleError `malformed` for one that is cut short, or whose origin is no text */
export async function readHeader(reader: ByteReader): Promise<UploadHeader> {
  const origin = decodeUtf8(await reader.takeSized('origin'), 'origin')
  const range = await reader.take(16, 'upload range')
  const view = new DataView(range.buffer, range.byteOffset, range.length)
  const [start, end] = [view.getBigUint64(0), view.getBigUint64(8)]
  const ticket = (await reader.takeSized('ticket')).slice()
  if (start <= end) return { origin, start, end, ticket }
  throw new SteleError(
    'malformed',
    `upload of ${excerpt(origin)}: expected a start of at most the end, got ${start} and ${end}`,
  )
}

/** The places of the packages of `[start, end)`, cut at multiples of 256. Each is as far as it was asked for. */
export function* packagePlaces(start: number, end: number): Generator<PackagePlace> {
  for (let begin = start; begin < end;) {
    const subtreeBegin = begin - (begin % TILE_WIDTH)
    const packageEnd = Math.min(end, subtreeBegin + TILE_WIDTH)
    yield { subtreeBegin, begin, end: packageEnd }
    begin = packageEnd
  }
}

/** Reads a package. @throws SteleError `malformed` for one that is cut short, or has more than 63 hashes */
export async function readPackage(reader: ByteReader, place: PackagePlace): Promise<Package> {
  const { begin, end } = place
  const entries: Uint8Array[] = []
  for (let index = begin; index < end; index++) entries.push(await reader.takeSized('entry'))
  const [count = 0] = await reader.take(1, 'number of hashes')
  if (count > MAX_HASHES) {
    throw new SteleError(
      'malformed',
      `package of ${begin}: expected at most ${MAX_HASHES} hashes, got ${count}`,
    )
  }
  const hashes = await reader.take(count * HASH_BYTES, 'hashes')
  const path = Array.from({ length: count }, (_, i) =>
    asHash(hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), 'hash'),
  )
  return { ...place, entries, path }
}

/** Where bytes come from: the next ones, or undefined at the end. */
type ByteSource = () => Promise<Uint8Array | undefined>

/** Reads a stream piece by piece. Holds the bytes of the current piece, and the rest of the last chunk. */
export class ByteReader {
  readonly #next: ByteSource
  #chunk: Uint8Array = new Uint8Array(0)
  #at = 0

  constructor(next: ByteSource) {
    this.#next = next
  }

  /**
   * Exactly `count` bytes; a view, if one chunk holds them.
   *
   * @throws SteleError {@link CutShort} if the stream ends before; what the source throws
   */
  take(count: number, what: string): Uint8Array | Promise<Uint8Array> {
    const end = this.#at + count
    if (end > this.#chunk.length) return this.#gather(count, what)
    const bytes = this.#chunk.subarray(this.#at, end)
    this.#at = end
    return bytes
  }

  /** Bytes with a uint16 length prefix. Throws as {@link take} does. */
  async takeSized(what: string): Promise<Uint8Array> {
    const length = await this.take(2, what)
    return this.take(length[0]! * 256 + length[1]!, what)
  }

  async #gather(count: number, what: string): Promise<Uint8Array> {
    const bytes = new Uint8Array(count)
    let filled = 0
    while (filled < count) {
      if (this.#at === this.#chunk.length) await this.#fetch(what)
      const part = this.#chunk.subarray(this.#at, this.#at + count - filled)
      bytes.set(part, filled)
      filled += part.length
      this.#at += part.length
    }
    return bytes
  }

  async #fetch(what: string): Promise<void> {
    const chunk = await this.#next()
    if (chunk === undefined) throw new CutShort(what)
    this.#chunk = chunk
    this.#at = 0
  }
}

/** The stream ended within a piece. */
export class CutShort extends SteleError {
  constructor(what: string, options: ErrorOptions = {}) {
    super('malformed', `body: cut short within ${what}`, options)
  }
}
