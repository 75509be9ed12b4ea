import { excerpt } from '../bytes/excerpt.ts'
import { startsWithMark } from '../bytes/text.ts'
import { SteleError } from '../errors.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'

/**
 * Cuts a batch into entries while it arrives. Copies no bytes where it can avoid it: entries are views of the chunks.
 */
export interface BatchParser {
  /** @throws SteleError `malformed`, `too_large`, naming the entry */
  push(chunk: Uint8Array): void
  /** All entries. @throws SteleError `malformed` for a batch without entries, or whose last entry is incomplete */
  end(): Uint8Array[]
}

/** One entry on each line. */
export const NDJSON = 'application/x-ndjson'
/** Entries in the form of a c2sp.org/tlog-tiles entry bundle: uint16 length, then bytes. */
export const ENTRY_BUNDLE = 'application/vnd.c2sp.entry-bundle'

/** True for the content types of batches, with any parameters. */
export function isBatchType(contentType: string | undefined): boolean {
  if (contentType === undefined) return false
  const type = mediaType(contentType)
  return type === NDJSON || type === ENTRY_BUNDLE
}

/**
 * The parser for a content type.
 *
 * @throws SteleError `unsupported_media_type`
 */
export function batchParser(contentType: string | undefined, maxEntries: number): BatchParser {
  const type = contentType === undefined ? undefined : mediaType(contentType)
  if (type === NDJSON) return new LineParser(maxEntries)
  if (type === ENTRY_BUNDLE) return new BundleParser(maxEntries)
  const came = contentType === undefined ? 'none' : excerpt(contentType)
  throw new SteleError(
    'unsupported_media_type',
    `batch: expected Content-Type ${NDJSON} or ${ENTRY_BUNDLE}, got ${came}`,
  )
}

const LINE_FEED = 10

/**
 * Splits at line feeds and keeps every other byte. The last line feed is optional. Empty lines are refused: they are
 * nearly always a mistake.
 */
class LineParser implements BatchParser {
  readonly #entries: EntryList
  readonly #rest = new Pieces()

  constructor(maxEntries: number) {
    this.#entries = new EntryList('line', maxEntries)
  }

  push(chunk: Uint8Array): void {
    let from = 0
    for (;;) {
      const to = chunk.indexOf(LINE_FEED, from)
      if (to < 0) break
      this.#add(chunk.subarray(from, to))
      from = to + 1
    }
    this.#rest.push(chunk.subarray(from))
    this.#entries.checkLength(this.#rest.length)
  }

  end(): Uint8Array[] {
    if (this.#rest.length > 0) this.#add(new Uint8Array(0))
    return this.#entries.whole()
  }

  #add(tail: Uint8Array): void {
    const line = this.#rest.takeWith(tail)
    if (line.length === 0)
      throw new SteleError('malformed', `${this.#entries.next}: expected an entry, got an empty line`)
    if (this.#entries.length === 0 && startsWithMark(line)) {
      throw new SteleError(
        'malformed',
        `${this.#entries.next}: expected an entry, got a byte order mark (EF BB BF) before it`,
      )
    }
    this.#entries.add(line)
  }
}

class BundleParser implements BatchParser {
  readonly #entries: EntryList
  readonly #rest = new Pieces()
  /** Bytes that `#rest` needs next: two of a length, or those of an entry. */
  #wanted = 2
  #inEntry = false

  constructor(maxEntries: number) {
    this.#entries = new EntryList('entry', maxEntries)
  }

  push(chunk: Uint8Array): void {
    let from = 0
    for (;;) {
      const to = from + this.#wanted - this.#rest.length
      if (to > chunk.length) break
      this.#step(this.#rest.takeWith(chunk.subarray(from, to)))
      from = to
    }
    this.#rest.push(chunk.subarray(from))
  }

  end(): Uint8Array[] {
    if (this.#inEntry || this.#rest.length > 0) {
      throw new SteleError(
        'malformed',
        `${this.#entries.next}: expected ${this.#wanted} bytes of its ${this.#inEntry ? 'content' : 'length'}, ` +
          `the bundle ends after ${this.#rest.length}`,
      )
    }
    return this.#entries.whole()
  }

  #step(bytes: Uint8Array): void {
    if (this.#inEntry) this.#entries.add(bytes)
    this.#inEntry = !this.#inEntry
    this.#wanted = this.#inEntry ? bytes[0]! * 256 + bytes[1]! : 2
  }
}

/** The entries read so far, and their limits. */
class EntryList {
  readonly #entries: Uint8Array[] = []
  readonly #unit: 'line' | 'entry'
  readonly #max: number

  constructor(unit: 'line' | 'entry', max: number) {
    this.#unit = unit
    this.#max = max
  }

  get length(): number {
    return this.#entries.length
  }

  /** Names the next entry in error messages, counted from 1. */
  get next(): string {
    return `batch, ${this.#unit} ${this.#entries.length + 1}`
  }

  add(entry: Uint8Array): void {
    this.checkLength(entry.length)
    if (this.#entries.length >= this.#max) {
      throw new SteleError('too_large', `batch: expected at most ${this.#max} entries, got more`)
    }
    this.#entries.push(entry)
  }

  checkLength(length: number): void {
    if (length <= MAX_ENTRY_BYTES) return
    throw new SteleError(
      'too_large',
      `${this.next}: expected at most ${MAX_ENTRY_BYTES} bytes, got ${length} or more`,
    )
  }

  whole(): Uint8Array[] {
    if (this.#entries.length === 0)
      throw new SteleError('malformed', 'batch: expected at least one entry, got none')
    return this.#entries
  }
}

/** The chunks of one length or entry that arrived in several parts. */
class Pieces {
  #pieces: Uint8Array[] = []
  length = 0

  push(piece: Uint8Array): void {
    if (piece.length === 0) return
    this.#pieces.push(piece)
    this.length += piece.length
  }

  /** All bytes, with `last` at the end. A single chunk is returned without a copy. */
  takeWith(last: Uint8Array): Uint8Array {
    if (this.length === 0) return last
    const whole = Buffer.concat([...this.#pieces, last])
    this.#pieces = []
    this.length = 0
    return whole
  }
}

function mediaType(contentType: string): string {
  return contentType.split(';', 1)[0]!.trim().toLowerCase()
}
