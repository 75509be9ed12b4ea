import { leafHash } from '../merkle/hash.ts'
import { toHex } from '../bytes/hex.ts'
import { type Exchange, jsonOf, type RawAnswer } from './connection.ts'
import type { EntrySource } from './entries.ts'
import type { Sample } from './load.ts'
import { requestHead, type Target } from './target.ts'

/** An acknowledged entry: its number in the source, and the index that the log gave it. */
export interface Acknowledged {
  readonly number: number
  readonly index: number
}

/** What the writers of one run share. Owns the count of acknowledged entries. */
export class Writers {
  entries = 0
  readonly target: Target
  readonly source: EntrySource
  readonly sample: Sample<Acknowledged>

  constructor(target: Target, source: EntrySource, sample: Sample<Acknowledged>) {
    this.target = target
    this.source = source
    this.sample = sample
  }

  /** The requests of one connection: single entries, or batches. */
  exchange(batch: number): Exchange {
    return batch === 1 ? new EntryWriter(this) : new BatchWriter(this, batch)
  }
}

const INDEX_AT = '{"index":'.length
const DUPLICATE = Buffer.from('"duplicate":true')

/** Sends one entry per request, from a buffer that is used again. */
class EntryWriter implements Exchange {
  readonly #writers: Writers
  readonly #request: Buffer
  readonly #bodyAt: number
  #number = 0

  constructor(writers: Writers) {
    this.#writers = writers
    const length = writers.source.bytes
    const head = requestHead(writers.target, 'POST', 'v1/entries', {
      type: 'application/octet-stream',
      length,
    })
    this.#bodyAt = head.length
    this.#request = Buffer.concat([head, Buffer.alloc(length)])
  }

  request(): Uint8Array {
    this.#number = this.#writers.source.writeNext(this.#request, this.#bodyAt)
    return this.#request
  }

  check({ status, body }: RawAnswer): string | undefined {
    if (status !== 200) return `status ${status}`
    const index = numberAt(body, INDEX_AT)
    if (index === undefined) return 'a receipt that does not begin with an index'
    if (body.indexOf(DUPLICATE) >= 0) return 'an entry that was never sent before is called a duplicate'
    const writers = this.#writers
    writers.entries++
    const number = this.#number
    let fault: string | undefined
    writers.sample.offer(() => {
      // The leaf hash of a sampled entry is checked at once, its place in the tree at the end.
      if (!body.includes(toHex(leafHash(writers.source.entry(number)))))
        fault = 'a receipt for another leaf hash'
      return { number, index }
    })
    return fault
  }
}

/** Parses the decimal digits that begin at `at`. */
function numberAt(bytes: Buffer, at: number): number | undefined {
  let value = 0
  let i = at
  for (; bytes[i]! >= 0x30 && bytes[i]! <= 0x39; i++) value = value * 10 + bytes[i]! - 0x30
  return i > at ? value : undefined
}

/** Sends several entries per request, as an entry bundle. */
class BatchWriter implements Exchange {
  readonly #writers: Writers
  readonly #request: Buffer
  readonly #bodyAt: number
  readonly #count: number
  #first = 0

  constructor(writers: Writers, count: number) {
    this.#writers = writers
    this.#count = count
    const { bytes } = writers.source
    const length = count * (2 + bytes)
    const head = requestHead(writers.target, 'POST', 'v1/batches', {
      type: 'application/vnd.c2sp.entry-bundle',
      length,
    })
    this.#bodyAt = head.length
    this.#request = Buffer.concat([head, Buffer.alloc(length)])
    for (let i = 0; i < count; i++) this.#request.writeUInt16BE(bytes, this.#entryAt(i) - 2)
  }

  request(): Uint8Array {
    const { source } = this.#writers
    this.#first = source.writeNext(this.#request, this.#entryAt(0))
    for (let i = 1; i < this.#count; i++) source.writeNext(this.#request, this.#entryAt(i))
    return this.#request
  }

  check({ status, body }: RawAnswer): string | undefined {
    if (status !== 200) return `status ${status}`
    const { begin, end, count } = jsonOf(body)
    if (typeof begin !== 'number' || typeof end !== 'number' || count !== this.#count)
      return 'a batch of another size'
    if (end - begin !== this.#count) return 'entries that were never sent before are called duplicates'
    this.#writers.entries += this.#count
    const place = Math.floor(Math.random() * this.#count)
    this.#writers.sample.offer(() => ({ number: this.#first + place, index: begin + place }))
    return undefined
  }

  #entryAt(i: number): number {
    return this.#bodyAt + 2 + i * (2 + this.#writers.source.bytes)
  }
}
