import { randomBytes } from 'node:crypto'
import { SteleError } from '../errors.ts'
import { MAX_ENTRY_BYTES } from '../tile/bundle.ts'

/** Name of the run and number of the entry: the least that makes an entry unique. */
export const MIN_ENTRY_BYTES = 24

const RUN_DIGITS = 12
const NUMBER_DIGITS = 12
const NOISE_BYTES = 1024 * 1024

/**
 * Generates unique entries of one length: the name of this run, a number, and noise that does not compress. An entry
 * can be generated again from its number.
 */
export class EntrySource {
  readonly bytes: number
  readonly #run: Buffer
  readonly #noise: Buffer
  #next = 0

  /** @throws SteleError `usage` for a length that is too short to be unique, or too long for an entry */
  constructor(bytes: number) {
    if (!(bytes >= MIN_ENTRY_BYTES && bytes <= MAX_ENTRY_BYTES)) {
      throw new SteleError(
        'usage',
        `entries of ${bytes} bytes: expected ${MIN_ENTRY_BYTES} to ${MAX_ENTRY_BYTES}`,
      )
    }
    this.bytes = bytes
    this.#run = Buffer.from(randomBytes(RUN_DIGITS / 2).toString('hex'))
    this.#noise = Buffer.from(randomBytes((NOISE_BYTES * 3) / 4).toString('base64'))
  }

  /** Writes the next entry into a request, and returns its number. */
  writeNext(into: Buffer, offset: number): number {
    this.#write(into, offset, this.#next)
    return this.#next++
  }

  /** The entry with this number. */
  entry(number: number): Uint8Array {
    const entry = Buffer.alloc(this.bytes)
    this.#write(entry, 0, number)
    return entry
  }

  #write(into: Buffer, offset: number, number: number): void {
    this.#run.copy(into, offset)
    let rest = number
    for (let at = offset + RUN_DIGITS + NUMBER_DIGITS - 1; at >= offset + RUN_DIGITS; at--) {
      into[at] = 0x30 + (rest % 10)
      rest = Math.floor(rest / 10)
    }
    const length = this.bytes - MIN_ENTRY_BYTES
    // A prime, so that neighbouring entries share no noise.
    const from = (number * 7919) % (this.#noise.length - length)
    this.#noise.copy(into, offset + MIN_ENTRY_BYTES, from, from + length)
  }
}
